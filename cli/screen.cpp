// Signal handlers only set flags, but for those of a crash, which call nothing that a handler may
// not (write and tcsetattr).
#include "cli/screen.hpp"

#include "cli/output.hpp"
#include "core/base/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

namespace mlp {

namespace {

constexpr std::string_view enter_sequence = "\033[?1049h\033[?7l\033[?25l\033[0m\033[2J";
constexpr std::string_view leave_sequence = "\033[0m\033[2J\033[H\033[?25h\033[?7h\033[?1049l";
constexpr std::array stop_signals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr std::array crash_signals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr std::chrono::milliseconds leave_patience{200};

std::atomic<int> stop_signal{0};
std::atomic<bool> suspend_asked{false};
std::atomic<bool> size_changed{false};
std::atomic<bool> continued{false};
std::atomic<bool> modes_taken{false};
std::atomic<bool> screen_taken{false};
termios modes_before, modes_ours;        // set before modes_taken is
std::array<struct sigaction, 16> before; // by order of installation
std::size_t installed = 0;

void on_stop(int number) {
  stop_signal.store(number);
}
void on_suspend(int) {
  suspend_asked.store(true);
}
void on_resize(int) {
  size_changed.store(true);
}
void on_continue(int) {
  continued.store(true);
}

// May run in a signal handler.
void give_back() noexcept {
  if (screen_taken.exchange(false)) {
    // Not for ever, if nobody reads what the terminal is sent.
    pollfd entry{STDOUT_FILENO, POLLOUT, 0};
    if (::poll(&entry, 1, static_cast<int>(leave_patience.count())) == 1) [[maybe_unused]]
      const ssize_t written = ::write(STDOUT_FILENO, leave_sequence.data(), leave_sequence.size());
  }
  if (modes_taken.exchange(false)) {
    // What was typed ahead goes too: it was meant for us.
    (void)::tcflush(STDIN_FILENO, TCIFLUSH);
    (void)::tcsetattr(STDIN_FILENO, TCSANOW, &modes_before);
  }
}

void on_crash(int number) {
  give_back();
  // SA_RESETHAND: this time it ends the process.
  ::raise(number);
}

void install(int number, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(number, &action, &before[installed++]);
}

void install_all() {
  installed = 0;
  for (const int number : stop_signals)
    install(number, on_stop, 0); // without SA_RESTART: a blocked write ends
  install(SIGTSTP, on_suspend, SA_RESTART);
  install(SIGWINCH, on_resize, SA_RESTART);
  install(SIGCONT, on_continue, SA_RESTART);
  for (const int number : crash_signals)
    install(number, on_crash, static_cast<int>(SA_RESETHAND));
}

void restore_all() {
  std::size_t at = 0;
  const auto restore = [&](int number) { ::sigaction(number, &before[at++], nullptr); };
  std::for_each(stop_signals.begin(), stop_signals.end(), restore);
  restore(SIGTSTP);
  restore(SIGWINCH);
  restore(SIGCONT);
  std::for_each(crash_signals.begin(), crash_signals.end(), restore);
}

KeyPress key_of(char c) {
  switch (c) {
  case 'q':
  case '\x03':
    return {Key::quit, 0};
  case '\x1a':
    return {Key::suspend, 0};
  case '\t':
    return {Key::right, 0};
  case 'k':
    return {Key::up, 0};
  case 'j':
    return {Key::down, 0};
  default:
    return {Key::other, c};
  }
}

Key arrow_of(char final) {
  switch (final) {
  case 'A':
    return Key::up;
  case 'B':
    return Key::down;
  case 'C':
    return Key::right;
  case 'D':
  case 'Z': // Shift-Tab
    return Key::left;
  default:
    return Key::other;
  }
}

} // namespace

std::vector<KeyPress> take_keys(std::string& input) {
  constexpr std::size_t longest_sequence = 32;
  std::vector<KeyPress> keys;
  std::size_t at = 0;
  while (at < input.size()) {
    if (input[at] != '\033') {
      const char c = input[at++];
      const KeyPress press = key_of(c);
      if (press.key != Key::other || (c >= ' ' && c <= '~')) keys.push_back(press);
      continue;
    }
    // ESC [ parameters final, or ESC O final; ESC and anything else is no key of ours.
    std::size_t end = at + 1;
    if (end == input.size()) break;
    if (input[end] != '[' && input[end] != 'O') {
      at = input[end] == '\033' ? end : end + 1;
      continue;
    }
    ++end;
    while (end < input.size() && input[end] >= ' ' && input[end] <= '?')
      ++end;
    if (end == input.size() && end - at < longest_sequence) break;
    if (end < input.size())
      if (const Key key = arrow_of(input[end]); key != Key::other) keys.push_back({key, 0});
    at = std::min(end + 1, input.size());
  }
  input.erase(0, at);
  return keys;
}

std::string screen_changes(const std::vector<std::string>& shown,
                           const std::vector<std::string>& after) {
  std::string out;
  for (std::size_t row = 0; row < std::max(shown.size(), after.size()); ++row) {
    static const std::string nothing;
    const std::string& old = row < shown.size() ? shown[row] : nothing;
    const std::string& now = row < after.size() ? after[row] : nothing;
    // Erased first: after a line that fills the row the cursor still stands in its last column.
    if (old != now) out += fmt::format("\033[{};1H\033[K{}", row + 1, now);
  }
  return out;
}

Screen::Screen() {
  if (::isatty(STDOUT_FILENO) != 1) throw Error(ErrorKind::usage, "standard output is no terminal");
  has_keys_ = ::isatty(STDIN_FILENO) == 1;
  stop_signal = 0;
  suspend_asked = size_changed = continued = false;
  install_all();
  try {
    enter();
  } catch (...) {
    give_back();
    restore_all();
    throw;
  }
}

Screen::~Screen() {
  give_back();
  restore_all();
}

void Screen::enter() {
  if (has_keys_) {
    if (!modes_taken && ::tcgetattr(STDIN_FILENO, &modes_before) != 0)
      throw system_error(errno, "read the modes of", "the terminal");
    modes_ours = modes_before;
    modes_ours.c_iflag &= ~static_cast<tcflag_t>(ICRNL | IXON);
    modes_ours.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | IEXTEN | ISIG);
    modes_ours.c_cc[VMIN] = 1;
    modes_ours.c_cc[VTIME] = 0;
    modes_taken = true;
    if (::tcsetattr(STDIN_FILENO, TCSANOW, &modes_ours) != 0)
      throw system_error(errno, "set the modes of", "the terminal");
  }
  drawn_size_ = {0, 0};
  screen_taken = true;
  send(std::string(enter_sequence));
}

ScreenSize Screen::size() const {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return {};
  return {size.ws_col, size.ws_row};
}

void Screen::draw(const std::vector<std::string>& lines, ScreenSize made_for) {
  std::string text;
  if (made_for != drawn_size_) {
    text = "\033[0m\033[2J";
    drawn_.clear();
  }
  text += screen_changes(drawn_, lines);
  if (!text.empty()) send(text);
  drawn_ = lines;
  drawn_size_ = made_for;
}

void Screen::send(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty() && stopped() == 0) {
    const ssize_t n = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (n >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) { // somebody made it non-blocking
      pollfd entry{STDOUT_FILENO, POLLOUT, 0};
      (void)::poll(&entry, 1, 100);
      continue;
    }
    if (errno == EIO) { // the terminal was closed
      hung_up_ = true;
      return;
    }
    if (errno == EPIPE) throw ClosedPipe{};
    throw system_error(errno, "write to", "standard output");
  }
}

std::vector<KeyPress> Screen::wait(std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  while (stopped() == 0) {
    if (size_changed.exchange(false)) { // also to and fro: terminals move what they show
      drawn_size_ = {0, 0};
      return {};
    }
    if (suspend_asked.exchange(false)) {
      suspend();
      return {};
    }
    if (continued.exchange(false)) { // after a SIGSTOP: the shell may have changed everything
      enter();
      return {};
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd entry{has_keys_ ? STDIN_FILENO : -1, POLLIN, 0};
    if (::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(0, left.count()))) < 0) continue;
    if (entry.revents == 0) return {};
    std::array<char, 256> buffer{};
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      hung_up_ = true;
      return {};
    }
    input_.append(buffer.data(), static_cast<std::size_t>(n));
    std::vector<KeyPress> keys = take_keys(input_);
    if (!keys.empty()) return keys;
  }
  return {};
}

int Screen::stopped() const noexcept {
  const int number = stop_signal.load();
  return number == 0 && hung_up_ ? SIGHUP : number;
}

void Screen::suspend() {
  give_back();
  // To the whole group, as the terminal would: who started us in a pipeline stops too.
  struct sigaction ours {};
  struct sigaction default_action {};
  default_action.sa_handler = SIG_DFL;
  ::sigemptyset(&default_action.sa_mask);
  ::sigaction(SIGTSTP, &default_action, &ours);
  ::kill(0, SIGTSTP);
  // We go on here when we are told to (SIGCONT).
  ::sigaction(SIGTSTP, &ours, nullptr);
  continued = false;
  enter();
}

} // namespace mlp
