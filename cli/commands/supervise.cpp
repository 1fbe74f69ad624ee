// `mlp __supervise RUN_FOLDER`: the process beside a run's program; started by compute backends.
#include "cli/registering.hpp"
#include "cli/session.hpp"
#include "core/base/process.hpp"
#include "core/config/settings.hpp"
#include "core/job/supervisor.hpp"
#include "core/serve/mlflow_endpoint.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const track::RunFolder folder{fs::absolute(*session.arguments().get("RUN_FOLDER"))};
  job::SupervisorHooks hooks;
  hooks.log_limit = session.settings().get_size("runs.log_limit");
  hooks.sample_interval = session.settings().get_duration("runs.sample_interval");
  hooks.store_outputs = [&](const track::RunSpec& spec, track::RunWriter& writer) {
    if (!spec.model.empty()) register_outputs(spec, writer);
  };
  hooks.open_endpoint = serve::open_mlflow_endpoint;
  job::supervise(folder, this_executable(), hooks);
}

} // namespace

extern const Command supervise_command;
const Command supervise_command = {
    .path = "__supervise",
    .summary = "supervise a run; started by mlp itself",
    .category = Category::hidden,
    .arguments = {{.name = "RUN_FOLDER", .help = "the run's folder"}},
    .run = run};

} // namespace mlp
