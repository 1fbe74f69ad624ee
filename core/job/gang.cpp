// waitid(2) with WNOWAIT tells how a child ended and leaves it a zombie.
#include "core/job/gang.hpp"

#include <sys/wait.h>

#include <csignal>

namespace mlp::job {

namespace {

std::optional<ProcessExit> look_at(pid_t pid) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid != pid)
    return std::nullopt;
  if (info.si_code == CLD_EXITED) return ProcessExit{info.si_status, 0};
  return ProcessExit{128 + info.si_status, info.si_status};
}

} // namespace

bool Gang::have_ended() {
  bool all = true;
  for (std::size_t i = 0; i < programs_.size(); ++i) {
    Program& program = programs_[i];
    if (program.ended) continue;
    const std::optional<ProcessExit> exit = look_at(program.process.pid());
    program.ended = exit.has_value();
    all = all && program.ended;
    if (exit && exit->code != 0 && !failure_) failure_ = {i, *exit};
  }
  return all;
}

void Gang::signal(int number) noexcept {
  for (Program& program : programs_)
    program.process.signal(number, true);
}

ProcessExit Gang::wait() {
  signal(SIGKILL);
  ProcessExit first;
  for (std::size_t i = 0; i < programs_.size(); ++i) {
    const ProcessExit exit = programs_[i].process.wait();
    if (i == 0) first = exit;
  }
  return first;
}

} // namespace mlp::job
