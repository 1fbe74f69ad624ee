// A terminal as a whole screen: the alternate one of xterm and its kin, keys without echo, and only
// what changed is drawn. Whatever happens, the terminal gets back what it had.
// Source: ECMA-48 (CSI sequences); xterm's private modes 7 (wrap), 25 (cursor), 1049 (screen).
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace mlp {

enum class Key { quit, up, down, left, right, suspend, other };

struct KeyPress {
  Key key = Key::other;
  char letter = 0; // of Key::other: a printable ASCII character
  bool operator==(const KeyPress&) const = default;
};

// Takes the keys off the front of `input`, but for a beginning of a sequence of several bytes. What
// is no key of ours is dropped. Ctrl-C and q quit; Tab and Shift-Tab are right and left.
[[nodiscard]] std::vector<KeyPress> take_keys(std::string& input);

// What to send to a terminal that shows `before` so that it shows `after`, a line a row from the
// top. Lines must fit.
[[nodiscard]] std::string screen_changes(const std::vector<std::string>& before,
                                         const std::vector<std::string>& after);

struct ScreenSize {
  std::size_t columns = 80, rows = 24;
  bool operator==(const ScreenSize&) const = default;
};

// Standard output's terminal, and standard input's keys if that is one too. One at a time; one
// thread. SIGINT, SIGTERM, SIGHUP and SIGQUIT are turned into stopped(); SIGTSTP and Ctrl-Z give
// the terminal back, stop the process and, when it goes on, take the terminal again. A crash
// (SIGSEGV, SIGABRT and their like) gives it back too.
class Screen {
 public:
  // Throws Error(usage) if standard output is no terminal, Error(failed) if it cannot be set.
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // 80 x 24 where the terminal does not tell.
  [[nodiscard]] ScreenSize size() const;
  // Lines that were made for a screen of this size. Blocks while the terminal takes nothing, but
  // not beyond a signal that stops. Throws Error or ClosedPipe if it is gone.
  void draw(const std::vector<std::string>& lines, ScreenSize made_for);
  // Waits for keys, at most so long; returns early for a signal or a change of size.
  [[nodiscard]] std::vector<KeyPress> wait(std::chrono::milliseconds timeout);
  // The number of the signal that asked to stop, or 0. A lost terminal is SIGHUP.
  [[nodiscard]] int stopped() const noexcept;
  void suspend();

 private:
  void enter();
  void send(const std::string& text);

  bool has_keys_ = false;
  bool hung_up_ = false;
  ScreenSize drawn_size_{0, 0};
  std::vector<std::string> drawn_;
  std::string input_;
};

} // namespace mlp
