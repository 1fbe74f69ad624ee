// Keys, and what is sent to a terminal: on a pseudo-terminal where one is needed.
#include "cli/screen.hpp"
#include "core/base/fs.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

using namespace mlp;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

std::vector<KeyPress> keys_of(std::string input, const std::string& rest = {}) {
  std::vector<KeyPress> keys = take_keys(input);
  CHECK(input == rest);
  return keys;
}

using Keys = std::vector<KeyPress>;
constexpr KeyPress up{Key::up, 0}, down{Key::down, 0}, left{Key::left, 0}, right{Key::right, 0},
    quit{Key::quit, 0};

// While it lives, standard input and output are a terminal of 60 x 12.
class PseudoTerminal {
 public:
  PseudoTerminal() {
    winsize size{};
    size.ws_col = 60;
    size.ws_row = 12;
    int master = -1, slave = -1;
    REQUIRE(::openpty(&master, &slave, nullptr, nullptr, &size) == 0);
    master_ = File(master);
    std::fflush(stdout);
    in_ = File(::dup(STDIN_FILENO));
    out_ = File(::dup(STDOUT_FILENO));
    ::dup2(slave, STDIN_FILENO);
    ::dup2(slave, STDOUT_FILENO);
    ::close(slave);
  }
  ~PseudoTerminal() {
    ::dup2(in_.fd(), STDIN_FILENO);
    ::dup2(out_.fd(), STDOUT_FILENO);
  }
  PseudoTerminal(const PseudoTerminal&) = delete;

  void type(std::string_view text) { master_.write(text); }
  void resize(unsigned short columns, unsigned short rows) {
    winsize size{};
    size.ws_col = columns;
    size.ws_row = rows;
    ::ioctl(master_.fd(), TIOCSWINSZ, &size);
  }
  termios modes() const {
    termios modes{};
    ::tcgetattr(master_.fd(), &modes);
    return modes;
  }
  std::string text() {
    std::string out;
    pollfd poll{master_.fd(), POLLIN, 0};
    std::byte buffer[4096];
    while (::poll(&poll, 1, 50) == 1 && (poll.revents & POLLIN) != 0)
      out.append(reinterpret_cast<const char*>(buffer), master_.read(buffer));
    return out;
  }

 private:
  File master_, in_, out_;
};

} // namespace

TEST_CASE("keys are read in both modes of a keypad, with modifiers and among others", "[screen]") {
  CHECK(keys_of("\033[A\033[B\033[C\033[D") == Keys{up, down, right, left});
  CHECK(keys_of("\033OA\033OB\033OC\033OD") == Keys{up, down, right, left});
  CHECK(keys_of("\033[1;5C\t\033[Z") == Keys{right, right, left});
  CHECK(keys_of("jkq\x03") == Keys{down, up, quit, quit});
  CHECK(keys_of("p l") == Keys{{Key::other, 'p'}, {Key::other, ' '}, {Key::other, 'l'}});
  CHECK(keys_of("\x1a") == Keys{{Key::suspend, 0}});
  // No keys of ours: F5, Delete, Alt-x, a mouse's report, control characters, UTF-8.
  CHECK(keys_of("\033[15~\033[3~\033x\033[<0;5;5M\x01\x7f\xc3\xa9").empty());
}

TEST_CASE("a key that has come in part is waited for, nonsense is not", "[screen]") {
  CHECK(keys_of("q\033[", "\033[") == Keys{quit});
  CHECK(keys_of("\033[1;", "\033[1;").empty());
  CHECK(keys_of("\033", "\033").empty());
  CHECK(keys_of("\033\033[A") == Keys{up});
  CHECK(keys_of("\033[" + std::string(500, '1')).empty());
}

TEST_CASE("only lines that changed are sent", "[screen]") {
  CHECK(screen_changes({"a", "b"}, {"a", "b"}).empty());
  CHECK(screen_changes({"a", "b"}, {"a", "c"}) == "\033[2;1H\033[Kc");
  CHECK(screen_changes({"a", "b"}, {"a"}) == "\033[2;1H\033[K");
  CHECK(screen_changes({}, {"", "x"}) == "\033[2;1H\033[Kx");
}

TEST_CASE("a terminal gets back its modes, its screen and its cursor", "[screen]") {
  PseudoTerminal terminal;
  const termios before = terminal.modes();
  {
    Screen screen;
    CHECK((terminal.modes().c_lflag & (ECHO | ICANON | ISIG)) == 0);
    CHECK(screen.size() == ScreenSize{60, 12});
    screen.draw({"one", "two"}, screen.size());
    CHECK_THAT(terminal.text(), Contains("\033[?1049h") && Contains("\033[?25l") &&
                                    Contains("\033[1;1H\033[Kone\033[2;1H\033[Ktwo"));
    screen.draw({"one", "2"}, screen.size());
    CHECK(terminal.text() == "\033[2;1H\033[K2");
    screen.draw({"one", "2"}, screen.size());
    CHECK(terminal.text().empty());
    // Another size: all of it anew.
    terminal.resize(30, 5);
    screen.draw({"one", "2"}, screen.size());
    CHECK_THAT(terminal.text(), Contains("\033[2J") && Contains("one"));
    terminal.type("\033[Bq");
    CHECK(screen.wait(5s) == Keys{down, quit});
    CHECK(screen.wait(0ms).empty());
  }
  const std::string last = terminal.text();
  CHECK_THAT(last, Contains("\033[?25h") && Contains("\033[?7h"));
  CHECK(last.ends_with("\033[?1049l"));
  const termios after = terminal.modes();
  CHECK(after.c_lflag == before.c_lflag);
  CHECK(after.c_iflag == before.c_iflag);
  CHECK(after.c_oflag == before.c_oflag);
}

TEST_CASE("a signal to stop is told, and ends a wait", "[screen]") {
  PseudoTerminal terminal;
  struct sigaction before {};
  ::sigaction(SIGTERM, nullptr, &before);
  {
    Screen screen;
    CHECK(screen.stopped() == 0);
    ::raise(SIGTERM);
    CHECK(screen.stopped() == SIGTERM);
    CHECK(screen.wait(10s).empty());
    screen.draw({"not sent"}, screen.size());
  }
  CHECK_THAT(terminal.text(), !Contains("not sent"));
  struct sigaction after {};
  ::sigaction(SIGTERM, nullptr, &after);
  CHECK(after.sa_handler == before.sa_handler);
  CHECK(Screen().stopped() == 0); // of the one before
  terminal.text();
}

TEST_CASE("no terminal, no screen", "[screen]") {
  const File nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  std::fflush(stdout);
  const File out(::dup(STDOUT_FILENO));
  ::dup2(nothing.fd(), STDOUT_FILENO);
  bool thrown = false;
  try {
    const Screen screen;
  } catch (const std::exception&) {
    thrown = true;
  }
  ::dup2(out.fd(), STDOUT_FILENO);
  CHECK(thrown);
}
