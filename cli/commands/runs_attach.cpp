// `mlp runs attach`: follows a run that was started elsewhere, as the command that started it
// would.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/follow.hpp"
#include "cli/launching.hpp"
#include "cli/runs.hpp"
#include "core/base/process.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const track::RunFolder folder = find_run_folder(session, *session.arguments().get("RUN"));
  const CancelWishes wishes;
  local::LocalBackend backend(this_executable());
  const bool trainer = track::read_run_spec(folder).command.empty();
  report_run(session, follow_run(session, backend, folder.root.native(), trainer, wishes,
                                 OnInterrupt::detach));
}

} // namespace

extern const Command runs_attach_command;
const Command runs_attach_command = {
    .path = "runs attach",
    .summary = "follow a run to its end, as if it had been started here",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .complete = complete_runs}},
    .examples = {{"mlp runs attach latest", "see what a detached run does, and how it ends"}},
    .run = run};

} // namespace mlp
