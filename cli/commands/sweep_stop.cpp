// `mlp sweep stop`: the wish goes into the sweep's journal, or to its trials if nobody drives it.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/sweeps.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/config/project.hpp"
#include "core/sweep/driver.hpp"
#include "core/track/machine.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const sweep::SweepFolder folder = find_sweep_folder(session, *session.arguments().get("SWEEP"));
  local::LocalBackend backend(this_executable());
  const std::stop_token stop = session.stop_token();
  const bool asked = stop_sweep(
      folder, session.project(), backend, fmt::format("stopped by {}", track::user_name()),
      session.arguments().has("--now"), [&] { return !stop.stop_requested(); });
  throw_if_stopped(stop);
  const sweep::SweepRecord after = sweep::read_sweep(folder);
  if (!asked)
    session.output().status(
        fmt::format("sweep {} has ended: {}", folder.id(), state_name(after.state)));
  session.output().emit(
      json_object({{"sweep", folder.id()}, {"asked", asked}, {"state", state_name(after.state)}}),
      TextView{fmt::format("{} {}\n", folder.id(), state_name(after.state))});
}

} // namespace

extern const Command sweep_stop_command;
const Command sweep_stop_command = {
    .path = "sweep stop",
    .summary = "stop a sweep and its trials, to go on later",
    .category = Category::training,
    .arguments = {{.name = "SWEEP",
                   .help = "'latest', a sweep's name, or any part of its id that is its own",
                   .complete = complete_sweeps}},
    .options = {{.name = "--now", .help = "kill its trials, without the grace period"}},
    .examples = {{"mlp sweep stop latest", "stop it, and wait until its trials have ended"}},
    .run = run};

} // namespace mlp
