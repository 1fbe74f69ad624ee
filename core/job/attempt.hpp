// One attempt of a run: the programs are started, followed, and ended, and what they said is taken
// in. Internal to core/job; the supervisor decides whether there is another.
#pragma once

#include "core/base/process.hpp"
#include "core/job/host_queue.hpp"
#include "core/job/log_bound.hpp"
#include "core/job/supervisor.hpp"
#include "core/track/run_record.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace mlp::job {

// What all attempts of a run have in common.
struct RunContext {
  RunContext(const track::RunFolder& folder, fs::path mlp, const SupervisorHooks& supervisor_hooks)
      : run(folder), program(std::move(mlp)), hooks(supervisor_hooks), writer(folder),
        out_bound(folder.stdout_log(), hooks.log_limit),
        err_bound(folder.stderr_log(), hooks.log_limit) {}

  track::RunFolder run;
  fs::path program; // this executable
  const SupervisorHooks& hooks;
  track::RunWriter writer;
  track::RunSpec spec;
  File signals;                    // see signals.hpp
  std::optional<QueuePlace> place; // that the run holds, if it asked for anything
  LogBound out_bound, err_bound;
  config::JobRecovery recovery;                    // of the task; since the first attempt
  std::chrono::steady_clock::time_point started{}; // the programs of the last attempt
  bool limits_warned = false, intake_warned = false;
};

// How an attempt ended, before it is written down.
struct Outcome {
  track::RunState state = track::RunState::failed;
  std::string reason;
  std::optional<ProcessExit> exit;
  std::vector<std::string> hints;
  bool may_restart = false; // the program itself failed
  std::string process = {}; // "rank 3": of several, the one that failed first
};

// Somebody's wish that the run ends, as it stands in its journal.
struct CancelWish {
  bool cancelled = false;
  bool now = false;
  std::string reason;
};
// Of the attempt that goes on: a new one begins at "queued".
[[nodiscard]] CancelWish read_wish(const track::RunFolder& run);

inline constexpr const char* told_to_end = "its supervisor was told to end (SIGTERM)";

// Waits for a signal, a fifth of a second at most, and not beyond `until`.
void wait_a_beat(const RunContext& context,
                 const std::optional<std::chrono::steady_clock::time_point>& until);

// Blocks until the programs have ended, and nothing of them is left. Does not throw: what went
// wrong is in the outcome.
[[nodiscard]] Outcome run_attempt(RunContext& context);

} // namespace mlp::job
