// The supervisor: a process of its own that runs inside a job, beside the program. It sets the
// launch environment, starts the program in a session of its own, keeps the journals, takes in
// metrics, forwards the wish to stop, and says the last word about the run.
//
// If it is killed, the kernel kills the program with it, and readers of the journal see the run as
// lost.
#pragma once

#include "core/base/fs.hpp"
#include "core/job/endpoint.hpp"
#include "core/secret/masker.hpp"
#include "core/track/run_record.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace mlp::job {

struct SupervisorHooks {
  std::uint64_t log_limit = 0;                  // most bytes of each log that are kept; 0: all
  std::chrono::milliseconds sample_interval{0}; // of samples of the machine; 0: there are none
  // What to do with the outputs of a program that ended well, before the run counts as succeeded
  // (e.g. to register a model). An Error that it throws makes the run failed, with its message.
  std::function<void(const track::RunSpec&, track::RunWriter&)> store_outputs;
  // Made anew for each attempt of a program (the built-in trainer needs none) whose task does not
  // set MLFLOW_TRACKING_URI itself. An Error that it throws is a warning of the run. The masked
  // values outlive the endpoint; nullptr: there are none.
  std::function<std::unique_ptr<Endpoint>(const track::RunFolder&, const track::RunSpec&,
                                          const secret::MaskedValues*)>
      open_endpoint;
};

// Supervises a run from queued to its end: one attempt, and more as far as its job_recovery says,
// each after a pause of 0.25 s to a minute, twice as long as the one before while it keeps failing
// quickly. Blocks for as long as the
// run lasts. Does nothing if the run is not waiting to be started or another supervisor has it. To
// be called by a process made for it, with one thread: it changes the signal mask, adopts orphans
// of the program and kills what the program leaves behind.
//
// SIGTERM and SIGINT stop the run: `cancelled` if the journal has a cancel event, else `preempted`.
// The program gets SIGTERM, and SIGKILL after the run's grace period (at once if the cancel event
// says `now`).
//
// Throws Error only if the run folder cannot be read or written; all else is in the journal.
void supervise(const track::RunFolder& run, const fs::path& program, const SupervisorHooks& hooks);

// Makes a run wait to be started: one that is pending, or a new attempt of one that ended without
// success. Returns false if it is active already, or another process is just starting it. Throws
// Error(conflict) for a run that succeeded. `reason` stands in the event, and how many `restarts`
// job_recovery has made so far.
bool enqueue(const track::RunFolder& run, std::string_view reason, std::string_view backend,
             int restarts = 0);

// Whether job_recovery starts a run that is lost or was preempted once more. Throws Error if its
// copy of mlp.yaml cannot be read.
[[nodiscard]] bool may_recover(const track::RunRecord& run);

// Writes down the wish to stop a run, and wakes its supervisor. Returns false if the run has ended.
// A run without a supervisor yet will see it when one starts. Throws Error.
bool request_cancel(const track::RunFolder& run, std::string_view reason, bool now);

// Kills every process of this user that has MLP_RUN_ID=<id> in its environment: what a supervisor
// that was killed could not clean up. Returns how many. Linux only; quick.
int kill_leftovers(std::string_view run_id);

// Kills what programs of this process left, that had gone out of their groups and became our
// children: this process must be their subreaper. Blocks for a quarter of a second at most.
void kill_orphans();

} // namespace mlp::job
