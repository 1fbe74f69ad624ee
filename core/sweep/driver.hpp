// Drives a sweep: starts trials, follows them, stops those that the searcher gives up, and keeps
// the journal. All that it knows stands in the journals of the sweep and of its runs, each decision
// before it is carried out, so that a driver that was killed is followed by another that adopts
// what runs, counts what has ended and starts nothing twice.
#pragma once

#include "core/job/backend.hpp"
#include "core/job/code.hpp"
#include "core/sweep/sweep_folder.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace mlp::sweep {

struct DriverProgress {
  std::uint64_t ended = 0, running = 0, planned = 0;
  const SweepTrial* best = nullptr; // for the time of the call
};

// What the caller is asked and told. All from the thread of drive_sweep(); each may be empty.
struct DriverHooks {
  job::CodeLimits code_limits; // of the code that is kept with each trial
  // How often somebody has asked to stop: 1 ends the trials, more kills them.
  std::function<int()> stop_wishes;
  std::function<void(const SweepTrial&, const DriverProgress&)> trial_ended;
  // Some ten times a second and more.
  std::function<void(const DriverProgress&)> tick;
  // Registers the model of the best trial, and returns its name ("digits@3"). Called if the sweep
  // has a model, before it counts as finished.
  std::function<std::string(const SweepTrial&)> register_best;
};

// Drives a sweep until all its trials have ended, or it is asked to stop. Blocks. Returns its
// record, which is finished or stopped. A trial that ended because the sweep was stopped goes on,
// when the sweep does, with its own checkpoints.
//
// Throws Error: conflict if another process drives it or it has finished; config if no run reports
// the objective, with the names of those that are reported; run_failed if the first trials all
// fail, or none came to its end; and what the backend and the journals throw. The sweep is then
// failed, and its trials are stopped.
[[nodiscard]] SweepRecord drive_sweep(const SweepFolder& sweep, const config::Project& project,
                                      job::Backend& backend, const DriverHooks& hooks);

// Stops a sweep and its trials: asks its driver, or does it in place of one that is gone. Returns
// when they have ended, or `keep_waiting` says no. False if it had ended before.
bool stop_sweep(const SweepFolder& sweep, const config::Project& project, job::Backend& backend,
                const std::string& reason, bool now, const std::function<bool()>& keep_waiting);

} // namespace mlp::sweep
