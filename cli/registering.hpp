// From a run's outputs to a model in the registry. Joins the registry to the runtimes, which tell
// the signature.
#pragma once

#include "core/base/fs.hpp"
#include "core/model/registry.hpp"
#include "core/track/run_record.hpp"

namespace mlp {

// Registers what the run has left in $MLP_OUT_DIR under spec.model, and notes it in the run's
// journal. For its supervisor, before the run has ended. Throws Error(failed) if there is no model
// among the outputs.
void register_outputs(const track::RunSpec& spec, track::RunWriter& writer);

// The model among a run's outputs: `model/` or else the only .onnx file. Throws Error(not_found).
[[nodiscard]] fs::path model_output(const track::RunFolder& run);

// A model with its signature, if one of our runtimes can read the files, and the lineage and
// metrics of `run`, if it comes from one.
[[nodiscard]] model::ModelVersion register_model(const config::Project& project,
                                                 std::string_view name, const fs::path& files,
                                                 const track::RunRecord* run);

} // namespace mlp
