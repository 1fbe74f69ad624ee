// The last line of a terminal: progress is drawn there, and log lines go above it.
#pragma once

#include "core/base/log.hpp"
#include "core/base/progress.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace mlp {

// Whether the locale's characters are UTF-8: else text is drawn with ASCII alone.
[[nodiscard]] bool is_utf8_locale();

// Thread-safe. Draws from the thread that calls advance() or note(), ten times a second at most,
// and not in the first half second of a phase's work.
class TerminalProgress : public Progress, public LogSink {
 public:
  TerminalProgress(bool draws, bool verbose, bool quiet);
  ~TerminalProgress() override;

  void begin(std::string_view phase, std::uint64_t total, ProgressUnit unit) override;
  void advance(std::uint64_t amount) override;
  void count(std::uint64_t things, std::string_view what) override;
  void note(std::string_view text) override;
  void end() override;
  bool is_seen() const noexcept override { return draws_; }
  void log(LogLevel level, std::string_view message) override;

  [[nodiscard]] bool draws() const noexcept { return draws_; }
  void line(std::string_view text); // above the progress
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void draw_if_due();
  void draw();
  void erase();

  const bool draws_;
  const bool verbose_;
  const bool quiet_;
  std::mutex mutex_;
  std::string phase_;
  std::string note_;
  ProgressUnit unit_ = ProgressUnit::count;
  std::string counted_; // what things_ are
  std::uint64_t things_ = 0;
  std::uint64_t total_ = 0;
  std::atomic<std::uint64_t> done_{0};
  Clock::time_point began_;
  std::atomic<Clock::rep> next_draw_{0};
  bool shown_ = false;
};

} // namespace mlp
