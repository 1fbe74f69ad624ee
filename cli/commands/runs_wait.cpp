// `mlp runs wait`: returns when runs have ended; for scripts.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/follow.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/config/settings.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>

namespace mlp {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds shortest_pause{5}, longest_pause{200};

std::optional<Clock::time_point> deadline_of(Session& session) {
  const auto text = session.arguments().get("--timeout");
  if (!text) return std::nullopt;
  const auto time = config::parse_duration(*text);
  if (!time)
    throw Error(ErrorKind::usage, fmt::format("'{}' is no time", *text))
        .with_hint("such as 90s or 2h");
  return Clock::now() + *time;
}

void run(Session& session) {
  std::vector<track::RunFolder> folders;
  for (const std::string& reference : session.arguments().all("RUN"))
    folders.push_back(find_run_folder(session, reference));
  const auto deadline = deadline_of(session);
  const std::stop_token stop = session.stop_token();
  local::LocalBackend backend(this_executable());
  Json rows = json_array();
  std::string text;
  std::optional<track::RunRecord> first_failed;
  for (const track::RunFolder& folder : folders) {
    auto pause = shortest_pause;
    track::RunRecord record = track::read_run(folder);
    while (track::is_active(record.state) || recover_run(session, backend, record)) {
      throw_if_stopped(stop);
      if (deadline && Clock::now() >= *deadline)
        throw Error(ErrorKind::conflict, fmt::format("run '{}' is still {}", folder.id(),
                                                     track::state_name(record.state)))
            .with_hint("it goes on; wait again, or stop it with: mlp runs cancel " + folder.id());
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, longest_pause);
      record = track::read_run(folder);
    }
    rows.push_back(json_object({{"run", folder.id()},
                                {"state", track::state_name(record.state)},
                                {"reason", record.reason}}));
    if (record.exit_code) rows.back()["exit_code"] = *record.exit_code;
    text += fmt::format("{} {}\n", folder.id(), track::state_name(record.state));
    if (record.state != track::RunState::succeeded && !first_failed)
      first_failed = std::move(record);
  }
  if (first_failed) throw run_error(*first_failed);
  session.output().emit(json_object({{"runs", std::move(rows)}}), TextView{text});
}

} // namespace

extern const Command runs_wait_command;
const Command runs_wait_command = {
    .path = "runs wait",
    .summary = "wait until runs have ended, and fail if one of them did",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .repeated = true,
                   .complete = complete_runs}},
    .options = {{.name = "--timeout", .value = "TIME", .help = "give up after that, such as 2h"}},
    .examples = {{"mlp runs wait latest", "in a script, after mlp train --detach"},
                 {"mlp runs wait --timeout 2h k3f9qx m2p8dr", "both, at most two hours"}},
    .run = run};

} // namespace mlp
