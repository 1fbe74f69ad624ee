// Progress on one line: phase, share, amount, rate, time left, note; cut to the terminal's width.
#include "cli/terminal.hpp"

#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace mlp {

namespace {

constexpr auto first_draw_after = std::chrono::milliseconds(500);
constexpr auto draw_every = std::chrono::milliseconds(100);

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

} // namespace

bool is_utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (const auto value = get_env(name); value && !value->empty())
      return value->find("UTF-8") != std::string::npos || value->find("utf8") != std::string::npos;
  return false;
}

TerminalProgress::TerminalProgress(bool draws, bool verbose, bool quiet)
    : draws_(draws), verbose_(verbose), quiet_(quiet) {}

TerminalProgress::~TerminalProgress() {
  end();
}

void TerminalProgress::begin(std::string_view phase, std::uint64_t total, ProgressUnit unit) {
  if (!draws_) return;
  const std::lock_guard lock(mutex_);
  erase();
  phase_ = printable(phase);
  note_.clear();
  unit_ = unit;
  total_ = total;
  done_ = 0;
  things_ = 0;
  began_ = Clock::now();
  next_draw_ = (began_ + first_draw_after).time_since_epoch().count();
}

void TerminalProgress::advance(std::uint64_t amount) {
  if (!draws_) return;
  done_ += amount;
  draw_if_due();
}

void TerminalProgress::count(std::uint64_t things, std::string_view what) {
  if (!draws_) return;
  {
    const std::lock_guard lock(mutex_);
    things_ += things;
    if (counted_ != what) counted_ = what;
  }
  draw_if_due();
}

void TerminalProgress::note(std::string_view text) {
  if (!draws_) return;
  {
    const std::lock_guard lock(mutex_);
    note_ = printable(text);
  }
  draw_if_due();
}

void TerminalProgress::end() {
  if (!draws_) return;
  const std::lock_guard lock(mutex_);
  erase();
  phase_.clear();
}

void TerminalProgress::log(LogLevel level, std::string_view message) {
  if (quiet_ && level != LogLevel::error) return;
  switch (level) {
  case LogLevel::error:
    line(fmt::format("mlp: error: {}", printable_lines(message)));
    break;
  case LogLevel::warning:
    line(fmt::format("mlp: warning: {}", printable_lines(message)));
    break;
  case LogLevel::info:
  case LogLevel::debug:
    if (verbose_) line(fmt::format("mlp: {}", printable_lines(message)));
    break;
  }
}

void TerminalProgress::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  erase();
  const std::string with_newline = std::string(text) + "\n";
  std::fwrite(with_newline.data(), 1, with_newline.size(), stderr);
}

void TerminalProgress::clear() {
  const std::lock_guard lock(mutex_);
  erase();
}

void TerminalProgress::draw_if_due() {
  const auto now = Clock::now().time_since_epoch().count();
  auto due = next_draw_.load(std::memory_order_relaxed);
  const auto next = now + std::chrono::duration_cast<Clock::duration>(draw_every).count();
  if (now < due || !next_draw_.compare_exchange_strong(due, next)) return;
  const std::lock_guard lock(mutex_);
  draw();
}

void TerminalProgress::draw() {
  if (phase_.empty()) return;
  const std::uint64_t done = done_;
  // What was estimated, and is passed, tells nothing any more.
  const std::uint64_t total = done > total_ ? 0 : total_;
  const std::chrono::duration<double> passed = Clock::now() - began_;
  const bool bytes = unit_ == ProgressUnit::bytes;
  const auto amount = [&](std::uint64_t n) { return bytes ? format_bytes(n) : format_count(n); };
  std::string text = phase_;
  if (total > 0)
    text +=
        fmt::format(" {:3.0f} %", 100.0 * static_cast<double>(done) / static_cast<double>(total));
  if (done > 0) {
    text +=
        total > 0 ? fmt::format("  {} of {}", amount(done), amount(total)) : "  " + amount(done);
    if (things_ > 0) text += fmt::format("  {} {}", format_count(things_), counted_);
    const double rate = static_cast<double>(done) / std::max(passed.count(), 1e-3);
    text += fmt::format("  {}/s", amount(static_cast<std::uint64_t>(rate)));
    if (total > done && rate > 0)
      text += fmt::format("  {} left", format_duration(std::chrono::duration<double>(
                                           static_cast<double>(total - done) / rate)));
  }
  if (!note_.empty()) text += "  " + note_;
  const std::string line = fmt::format("\r{}\033[K", fit_width(text, terminal_width() - 1));
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
  shown_ = true;
}

void TerminalProgress::erase() {
  if (!shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

} // namespace mlp
