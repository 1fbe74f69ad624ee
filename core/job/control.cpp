// What others do to a run: queue it, ask it to stop.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/job/supervisor.hpp"
#include "core/job/work.hpp"
#include "core/track/run_record.hpp"

#include <fmt/format.h>

#include <chrono>
#include <csignal>

namespace mlp::job {

using track::RunState;

bool enqueue(const track::RunFolder& run, std::string_view reason, std::string_view backend,
             int restarts) {
  // Held by a supervisor for as long as it lives: between this check and the event nobody can take
  // the run.
  auto lock = FileLock::try_lock(run.supervisor_lock());
  if (!lock) {
    // One that was killed has it until the last of its threads is gone.
    if (track::read_run(run).state != RunState::lost) return false;
    try {
      lock.emplace(run.supervisor_lock(), "this run", std::chrono::seconds(2));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::conflict) return false;
      throw;
    }
  }
  track::RunRecord record = track::read_journals(run);
  if (record.state == RunState::succeeded)
    throw Error(ErrorKind::conflict, fmt::format("run '{}' has succeeded", run.id()))
        .with_hint("start a new one with mlp train");
  if (record.state == RunState::queued) {
    track::settle(record, wall_now());
    if (record.state == RunState::queued) return false;
  }
  // Nobody holds the lock, so what the journal calls active is lost: say so before going on.
  track::RunWriter writer(run);
  if (track::is_active(record.state) && record.state != RunState::pending) {
    track::settle(record, wall_now());
    if (track::is_active(record.state)) {
      if (record.supervisor && track::liveness(*record.supervisor) == track::Liveness::unknown)
        throw Error(ErrorKind::conflict,
                    fmt::format("run '{}' is {} on '{}'", run.id(), state_name(record.state),
                                record.supervisor->host));
      return false;
    }
  }
  if (record.state == RunState::lost) writer.state(RunState::lost, record.reason);
  writer.state(RunState::queued, reason,
               json_object({{"backend", backend},
                            {"submitter", track::to_json(track::this_process())},
                            {"restarts", restarts}}));
  return true;
}

bool may_recover(const track::RunRecord& run) {
  if (run.state != RunState::lost && run.state != RunState::preempted) return false;
  const config::Task task = resolve_run_task(run.folder, run.spec);
  return run.restarts < task.job_recovery.max_restarts_on_errors;
}

bool request_cancel(const track::RunFolder& run, std::string_view reason, bool now) {
  const track::RunRecord record = track::read_run(run);
  if (!track::is_active(record.state)) return false;
  track::RunWriter writer(run);
  writer.event("cancel", json_object({{"reason", reason}, {"now", now}}));
  writer.sync();
  const track::RunRecord after = track::read_run(run);
  if (after.supervisor && track::is_active(after.state) &&
      track::liveness(*after.supervisor) == track::Liveness::alive)
    ::kill(after.supervisor->pid, SIGTERM);
  return true;
}

} // namespace mlp::job
