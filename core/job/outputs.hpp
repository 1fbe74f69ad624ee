// What a run leaves in $MLP_OUT_DIR, taken into the project's object store as one version: so that
// it is known by its digest, and kept once however many runs make the same.
#pragma once

#include "core/track/run_folder.hpp"

#include <stop_token>

namespace mlp::job {

// Does nothing if there is no output. Says "outputs" in the run's events once all of it is durable.
// Blocks while it reads the files. Throws Error; the files stay where they are.
void store_outputs(const track::RunFolder& run, track::RunWriter& writer, bool partial,
                   const std::stop_token& stop = {});

} // namespace mlp::job
