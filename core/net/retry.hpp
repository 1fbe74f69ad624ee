// When to try again, and how long to wait before: exponential back-off with jitter, bounded in
// number and in time. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
// 2015
// ("equal jitter": half of the wait is fixed, half is random).
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>

namespace mlp::net {

struct RetryPolicy {
  unsigned attempts = 6;                     // in all; 1: never again
  std::chrono::milliseconds first{100};      // the wait before the second attempt; then it doubles
  std::chrono::milliseconds longest{10'000}; // of one wait
  std::chrono::milliseconds total{120'000};  // no attempt begins later than this
};

// One request's attempts. Not thread-safe.
class Retry {
 public:
  explicit Retry(const RetryPolicy& policy, std::stop_token stop = {});

  // Waits, at least `at_least` (what a server asked for), and returns true if another attempt is
  // due; false at once if there is none left or if it would begin too late. Throws
  // Error(interrupted) if stopped.
  [[nodiscard]] bool again(std::optional<std::chrono::milliseconds> at_least = std::nullopt);

  // The number of the attempt that runs now, from 1.
  [[nodiscard]] unsigned attempt() const noexcept { return attempt_; }
  [[nodiscard]] std::chrono::milliseconds elapsed() const;

 private:
  RetryPolicy policy_;
  std::stop_token stop_;
  unsigned attempt_ = 1;
  std::chrono::milliseconds wait_;
  std::chrono::steady_clock::time_point start_;
};

} // namespace mlp::net
