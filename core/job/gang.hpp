// The programs of one attempt of a job on this machine, one for each process of the job that mlp
// starts. They live and die together: who watches ends all of them when one has failed.
#pragma once

#include "core/base/process.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace mlp::job {

class Gang {
 public:
  struct Failure {
    std::size_t program = 0;
    ProcessExit exit;
  };

  // Each program heads a session of its own.
  void add(const Process& program) { programs_.push_back({program, false}); }
  [[nodiscard]] std::size_t size() const noexcept { return programs_.size(); }
  // Of the first program.
  [[nodiscard]] pid_t pid() const noexcept { return programs_.front().process.pid(); }

  // Looks who has ended; true once all have. Those that ended stay zombies until wait(), so that
  // the ids of their groups are not used again.
  bool have_ended();
  // The first that was seen to end with an exit code other than 0, or by a signal.
  [[nodiscard]] const std::optional<Failure>& failure() const noexcept { return failure_; }

  // To all groups.
  void signal(int number) noexcept;
  // Kills what is left of the groups, and waits for the programs. The exit of the first program.
  ProcessExit wait();

 private:
  struct Program {
    Process process;
    bool ended;
  };
  std::vector<Program> programs_;
  std::optional<Failure> failure_;
};

} // namespace mlp::job
