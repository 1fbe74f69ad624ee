// Signals as a stop token. Each case runs in a child: handlers are installed once per process.
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

using namespace mlp;
using namespace std::chrono_literals;

namespace {

template <class Body>
int status_of_child(Body&& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool stopped_within(const std::stop_token& token, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!token.stop_requested() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(1ms);
  return token.stop_requested();
}

} // namespace

TEST_CASE("SIGINT and SIGTERM stop the token, and work then ends as interrupted") {
  for (const int number : {SIGINT, SIGTERM})
    CHECK(status_of_child([number] {
            const std::stop_token token = interrupt_token();
            if (interrupt_signal() != 0 || token.stop_requested()) return 1;
            throw_if_stopped(token);
            ::raise(number);
            if (!stopped_within(token, 10s)) return 2;
            if (interrupt_signal() != number) return 3;
            if (!interrupt_token().stop_requested()) return 4;
            try {
              throw_if_stopped(token);
            } catch (const Error& error) {
              return error.kind() == ErrorKind::interrupted ? 0 : 5;
            }
            return 6;
          }) == 0);
}

TEST_CASE("a second signal ends a process that does not listen") {
  CHECK(status_of_child([] {
          const std::stop_token token = interrupt_token();
          ::raise(SIGINT);
          ::raise(SIGTERM);
          return 0;
        }) == 128 + SIGTERM);
}

TEST_CASE("a callback on the token may do what a handler may not") {
  CHECK(status_of_child([] {
          std::atomic<bool> called{false};
          const std::stop_callback callback(interrupt_token(), [&] {
            const std::string allocated(100'000, 'x');
            called = allocated.size() == 100'000;
          });
          ::raise(SIGINT);
          for (int i = 0; i < 5000 && !called; ++i)
            std::this_thread::sleep_for(1ms);
          return called ? 0 : 1;
        }) == 0);
}
