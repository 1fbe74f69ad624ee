// The wait can be interrupted: a condition variable that nobody notifies, but for the stop token.
#include "core/net/retry.hpp"

#include "core/base/interrupt.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <utility>

namespace mlp::net {

namespace {

std::chrono::milliseconds jittered(std::chrono::milliseconds wait) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto half = wait.count() / 2;
  return std::chrono::milliseconds(half +
                                   std::uniform_int_distribution<std::int64_t>(0, half)(random));
}

} // namespace

Retry::Retry(const RetryPolicy& policy, std::stop_token stop)
    : policy_(policy), stop_(std::move(stop)), wait_(policy.first),
      start_(std::chrono::steady_clock::now()) {}

std::chrono::milliseconds Retry::elapsed() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start_);
}

bool Retry::again(std::optional<std::chrono::milliseconds> at_least) {
  throw_if_stopped(stop_);
  if (attempt_ >= policy_.attempts) return false;
  const auto wait = std::max(jittered(wait_), at_least.value_or(std::chrono::milliseconds(0)));
  if (wait > policy_.total - elapsed()) return false;
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop_, wait, [] { return false; });
  throw_if_stopped(stop_);
  ++attempt_;
  wait_ = std::min(wait_ * 2, policy_.longest);
  return true;
}

} // namespace mlp::net
