// Takes the scalars of TensorBoard's event files in a run's outs into its metrics, when the program
// has ended: only then is it known which folders of them belong together. As in TensorBoard, the
// folder that all of them lie below is the log folder, and a file deeper down has its path from
// there in front of its names: `train/epoch_loss`, `validation/epoch_loss`.
#pragma once

#include "core/secret/masker.hpp"
#include "core/track/run_folder.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace mlp::job {

struct TensorboardTaken {
  std::size_t files = 0;
  std::uint64_t scalars = 0;
  std::vector<std::string> problems; // a sentence each, for the run's warnings
};

// Reads on where the attempt before ended, which `tensorboard.json` of the run folder says. At most
// 1,000 files, 2,000,000 scalars and `patience` of time: what is beyond is left out and named in
// problems. Symbolic links are not followed. `secrets` as for MetricLines. Throws Error if the
// journal or that file cannot be written.
TensorboardTaken take_tensorboard(const track::RunFolder& run, const secret::MaskedValues* secrets,
                                  std::chrono::seconds patience = std::chrono::seconds(60));

} // namespace mlp::job
