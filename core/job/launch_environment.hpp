// The variables that a job's program finds, so that a script for any framework starts unchanged:
// those of torchrun, torch.distributed, JAX, TensorFlow, and ours. A pure function of what is known
// about the job.
// Sources: pytorch.org/docs/stable/elastic/run.html (environment variables),
// jax.distributed.initialize, tensorflow.org/guide/distributed_training (TF_CONFIG).
#pragma once

#include "core/base/fs.hpp"
#include "core/track/run_folder.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::job {

// Where one process stands in its job.
struct Placement {
  std::vector<std::string> hosts = {"127.0.0.1"}; // one a node; the first is the coordinator
  std::int64_t processes_per_node = 1;
  std::int64_t node = 0;  // index in hosts
  std::int64_t local = 0; // process on that node
  std::uint16_t port = 0; // free on the first host
};

// Variables to add to the environment that the process has. `project` is absolute.
[[nodiscard]] std::map<std::string, std::string> launch_environment(const track::RunFolder& run,
                                                                    const track::RunSpec& spec,
                                                                    const fs::path& project,
                                                                    const Placement& placement);

// "MLP_DATA_" and the name in upper case, with '_' for what a variable cannot hold.
[[nodiscard]] std::string data_variable(std::string_view dataset);

// A TCP port that was free on this machine a moment ago; 0 if none could be had.
[[nodiscard]] std::uint16_t free_port() noexcept;

} // namespace mlp::job
