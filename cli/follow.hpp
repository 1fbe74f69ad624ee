// Following a run from the terminal that started it, until it ends or a signal asks to stop it.
#pragma once

#include "cli/session.hpp"
#include "core/job/backend.hpp"
#include "core/track/run_record.hpp"

namespace mlp {

// SIGINT and SIGTERM as wishes to stop. Installs its handlers; one per process.
class CancelWishes {
 public:
  CancelWishes();
  [[nodiscard]] int interrupts() const noexcept;   // SIGINT so far
  [[nodiscard]] int terminations() const noexcept; // SIGTERM
};

// What Ctrl-C means where nobody can be asked. On a terminal the user is: detach, cancel or go on;
// and one more Ctrl-C at the question cancels. SIGTERM cancels. Whatever comes after a cancel
// kills.
enum class OnInterrupt { cancel, detach };

// Shows what the run says on standard error: its program's output as it comes, or for the built-in
// trainer progress on a terminal and else a line an epoch, at most one a second. Returns the record
// at the end, or of an active run after a detach. Throws Error(interrupted) that says how to
// resume, if it was cancelled from here.
[[nodiscard]] track::RunRecord follow_run(Session& session, job::Backend& backend,
                                          const std::string& handle, bool trainer,
                                          const CancelWishes& wishes,
                                          OnInterrupt on_interrupt = OnInterrupt::cancel);

// Starts a run that is lost or was preempted again, if its job_recovery says so: nobody else is
// there to see it. False if that is not to be.
bool recover_run(Session& session, job::Backend& backend, const track::RunRecord& run);

// What `train` says about a run that ended without success: kind run_failed, the last lines of its
// standard error as context, how to see more and how to resume.
[[nodiscard]] Error run_error(const track::RunRecord& run);

} // namespace mlp
