// signalfd(2).
#include "core/job/signals.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace mlp::job {

File open_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD})
    ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) throw system_error(errno, "block", "signals");
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  const int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) throw system_error(errno, "wait for", "signals");
  return File(fd);
}

bool take_signals(const File& signals) {
  bool stop = false;
  signalfd_siginfo info{};
  while (::read(signals.fd(), &info, sizeof info) == static_cast<ssize_t>(sizeof info))
    stop = stop || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
  return stop;
}

std::string signal_text(int number) {
  const char* name = ::sigabbrev_np(number);
  return name == nullptr ? fmt::format("signal {}", number) : fmt::format("SIG{}", name);
}

} // namespace mlp::job
