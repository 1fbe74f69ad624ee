// Following a run from the terminal that started it, until it ends or a signal asks to stop it.
#pragma once

#include "cli/session.hpp"
#include "core/job/backend.hpp"
#include "core/track/run_record.hpp"

namespace mlp {

// SIGINT and SIGTERM as wishes: the first cancels the run, the second kills it. Installs its
// handlers; one per process.
class CancelWishes {
 public:
  CancelWishes();
  [[nodiscard]] int count() const noexcept; // signals so far
};

// Shows what the run says on standard error: its program's output as it comes, or for the built-in
// trainer progress on a terminal and else a line an epoch, at most one a second. Returns the record
// at the end. Throws Error(interrupted) that says how to resume, if it was cancelled from here.
[[nodiscard]] track::RunRecord follow_run(Session& session, job::Backend& backend,
                                          const std::string& handle, bool trainer,
                                          const CancelWishes& wishes);

// What `train` says about a run that ended without success: kind run_failed, the last lines of its
// standard error as context, how to see more and how to resume.
[[nodiscard]] Error run_error(const track::RunRecord& run);

} // namespace mlp
