// Progress and messages share the last line of a terminal: drawn on a pseudo-terminal.
#include "cli/terminal.hpp"
#include "core/base/fs.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <thread>
#include <vector>

using namespace mlp;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

// While it lives, standard error is a terminal of `columns`.
class PseudoTerminal {
 public:
  explicit PseudoTerminal(unsigned short columns) {
    winsize size{};
    size.ws_col = columns;
    size.ws_row = 10;
    int master = -1, slave = -1;
    REQUIRE(::openpty(&master, &slave, nullptr, nullptr, &size) == 0);
    master_ = File(master);
    std::fflush(stderr);
    saved_ = File(::dup(STDERR_FILENO));
    ::dup2(slave, STDERR_FILENO);
    ::close(slave);
  }
  ~PseudoTerminal() { ::dup2(saved_.fd(), STDERR_FILENO); }
  PseudoTerminal(const PseudoTerminal&) = delete;

  // What was written so far.
  std::string text() {
    std::string out;
    pollfd poll{master_.fd(), POLLIN, 0};
    std::byte buffer[4096];
    while (::poll(&poll, 1, 50) == 1 && (poll.revents & POLLIN) != 0)
      out.append(reinterpret_cast<const char*>(buffer), master_.read(buffer));
    return out;
  }

 private:
  File master_, saved_;
};

} // namespace

TEST_CASE("work of less than half a second draws nothing") {
  PseudoTerminal terminal(80);
  {
    TerminalProgress progress(true, false, false);
    progress.begin("hashing", 10, ProgressUnit::count);
    progress.advance(10);
    progress.end();
  }
  CHECK(terminal.text().empty());
}

TEST_CASE("progress is cut to the terminal, and a message goes above it") {
  PseudoTerminal terminal(24);
  {
    TerminalProgress progress(true, false, false);
    progress.begin("hashing", 100, ProgressUnit::count);
    std::this_thread::sleep_for(520ms);
    progress.advance(50);
    progress.note("漢字漢字漢字\x1b[2J");
    progress.line("a message");
  }
  // One drawing, of at most 23 columns, is erased before the message and not left behind.
  CHECK(terminal.text() == "\rhashing  50 %  50 of 10\033[K\r\033[Ka message\r\n");
}

TEST_CASE("progress tells share, bytes, things, rate and time left") {
  PseudoTerminal terminal(120);
  {
    TerminalProgress progress(true, false, false);
    CHECK(progress.is_seen());
    progress.begin("pushing", 4 << 20, ProgressUnit::bytes);
    std::this_thread::sleep_for(400ms);
    progress.count(1200, "objects");
    progress.count(34, "objects");
    std::this_thread::sleep_for(120ms);
    progress.advance(1 << 20);
  }
  const std::string text = terminal.text();
  CHECK_THAT(text, Catch::Contains("pushing  25 %  1.0 MiB of 4.0 MiB  1,234 objects  "));
  CHECK_THAT(text, Catch::Matchers::Matches("[^]*  [0-9.]+ [KM]iB/s  [0-9.]+ m?s left[^]*",
                                            Catch::CaseSensitive::Yes));
}

TEST_CASE("a total that was passed is told no more") {
  PseudoTerminal terminal(120);
  {
    TerminalProgress progress(true, false, false);
    progress.begin("adding", 1 << 20, ProgressUnit::bytes);
    std::this_thread::sleep_for(520ms);
    progress.advance(4 << 20);
  }
  const std::string text = terminal.text();
  CHECK_THAT(text, Catch::Contains("\radding  4.0 MiB  "));
  CHECK_THAT(text, !Catch::Contains("%") && !Catch::Contains("left"));
}

TEST_CASE("without a terminal there are plain lines only, and quiet leaves errors only") {
  PseudoTerminal terminal(80);
  {
    TerminalProgress plain(false, false, false);
    plain.begin("hashing", 10, ProgressUnit::count);
    plain.advance(5);
    plain.log(LogLevel::warning, "careful \x1b[31m");
    plain.log(LogLevel::info, "not asked for");
    TerminalProgress quiet(false, true, true);
    quiet.log(LogLevel::warning, "not heard");
    quiet.log(LogLevel::error, "heard");
  }
  CHECK(terminal.text() == "mlp: warning: careful \\x1b[31m\r\nmlp: error: heard\r\n");
}

TEST_CASE("many threads may advance, note and log at once") {
  PseudoTerminal terminal(40);
  std::string seen;
  {
    TerminalProgress progress(true, true, false);
    progress.begin("working", 4000, ProgressUnit::bytes);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int k = 0; k < 20; ++k) {
          progress.advance(50);
          progress.note("x");
          progress.log(LogLevel::info, "line");
        }
      });
    threads.clear();
  }
  seen = terminal.text();
  std::size_t lines = 0;
  for (std::size_t at = seen.find("mlp: line\r\n"); at != std::string::npos;
       at = seen.find("mlp: line\r\n", at + 1))
    ++lines;
  CHECK(lines == 80);
}
