// The handler only writes the signal number to a pipe (async-signal-safe); a thread turns it into
// a stop request.
#include "core/base/interrupt.hpp"

#include "core/base/error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

namespace mlp {

namespace {

std::atomic<int> signal_number{0};
int pipe_fds[2] = {-1, -1};

void on_signal(int number) {
  const int saved = errno;
  if (signal_number.exchange(number) != 0) ::_exit(128 + number);
  const char byte = 1;
  [[maybe_unused]] const ssize_t written = ::write(pipe_fds[1], &byte, 1);
  errno = saved;
}

std::stop_source& install() {
  // Never destroyed: the thread below may still refer to it while the process exits.
  static auto& source = *new std::stop_source;
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  std::thread([] {
    char byte = 0;
    ssize_t n = 0;
    do {
      n = ::read(pipe_fds[0], &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1) source.request_stop();
  }).detach();
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  return source;
}

} // namespace

std::stop_token interrupt_token() {
  static std::stop_source& source = install();
  return source.get_token();
}

int interrupt_signal() noexcept {
  return signal_number.load();
}

void throw_if_stopped(const std::stop_token& token) {
  if (token.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
}

} // namespace mlp
