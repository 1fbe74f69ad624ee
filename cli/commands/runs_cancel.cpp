// `mlp runs cancel`: the wish is written into the run's journal; its supervisor does the rest.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/job/supervisor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace mlp {

namespace {

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  local::LocalBackend backend(this_executable());
  // All names first: a misspelt one must not leave half of them cancelled.
  std::vector<track::RunFolder> folders;
  for (const std::string& reference : arguments.all("RUN")) {
    const track::RunFolder folder = find_run_folder(session, reference);
    const bool known = std::any_of(folders.begin(), folders.end(),
                                   [&](const auto& other) { return other.root == folder.root; });
    if (!known) folders.push_back(folder);
  }
  Json results = json_array();
  std::string text;
  std::vector<std::string> asked;
  for (const track::RunFolder& folder : folders) {
    const track::RunRecord before = track::read_run(folder);
    const bool active = track::is_active(before.state);
    if (active) {
      backend.cancel(folder.root.native(), fmt::format("cancelled by {}", track::user_name()),
                     arguments.has("--now"));
      asked.push_back(folder.root.native());
    } else if (before.state == track::RunState::lost) {
      job::kill_leftovers(folder.id());
    }
    results.push_back(json_object(
        {{"run", folder.id()}, {"was", track::state_name(before.state)}, {"asked", active}}));
    if (!active)
      session.output().status(
          fmt::format("run {} has ended: {}", folder.id(), track::state_name(before.state)));
  }
  const std::stop_token stop = session.stop_token();
  for (const std::string& handle : asked)
    while (true) {
      const job::JobStatus status = backend.poll(std::span(&handle, 1)).front();
      if (!status.known || !track::is_active(status.state)) break;
      throw_if_stopped(stop);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  for (Json& result : results) {
    const track::RunFolder folder{session.project().runs() / result["run"].get<std::string>()};
    const track::RunRecord after = track::read_run(folder);
    result["state"] = track::state_name(after.state);
    text += fmt::format("{} {}\n", folder.id(), track::state_name(after.state));
  }
  session.output().emit(json_object({{"runs", results}}), TextView{text});
}

} // namespace

extern const Command runs_cancel_command;
const Command runs_cancel_command = {
    .path = "runs cancel",
    .summary = "stop runs: SIGTERM, a grace period, then SIGKILL",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .repeated = true,
                   .complete = complete_runs}},
    .options = {{.name = "--now", .help = "kill at once, without the grace period"}},
    .examples = {{"mlp runs cancel latest", "stop the newest run and wait until it has ended"},
                 {"mlp runs cancel --now k3f9qx", "kill a run that does not react"}},
    .run = run};

} // namespace mlp
