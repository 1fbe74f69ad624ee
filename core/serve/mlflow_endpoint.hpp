// The MLflow service of a run on a port of this machine, for the run's program only.
#pragma once

#include "core/job/endpoint.hpp"
#include "core/secret/masker.hpp"
#include "core/track/run_folder.hpp"

#include <memory>

namespace mlp::serve {

// Listens on 127.0.0.1, on any free port. The program finds MLFLOW_TRACKING_URI, MLFLOW_RUN_ID,
// MLFLOW_EXPERIMENT_NAME, and a secret of this attempt as MLFLOW_TRACKING_TOKEN and as
// MLFLOW_TRACKING_USERNAME and _PASSWORD, which MLflow's client prefers, to its file of credentials
// too. Where the environment names a proxy, 127.0.0.1 is excepted from it. `secrets` must outlive
// the endpoint; nullptr: there are none. Throws Error if there is no port.
[[nodiscard]] std::unique_ptr<job::Endpoint>
open_mlflow_endpoint(const track::RunFolder& run, const track::RunSpec& spec,
                     const secret::MaskedValues* secrets);

} // namespace mlp::serve
