// The workers that infer: they take requests from one bounded queue, first come first served.
#pragma once

#include "core/serve/http.hpp"
#include "core/serve/metrics.hpp"
#include "core/serve/served_model.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace mlp::serve {

// A model and what is counted of it.
struct InferTarget {
  explicit InferTarget(ServedModel served) : model(std::move(served)) {}
  ServedModel model;
  ModelCounters counters;
};

// Thread-safe.
class InferPool {
 public:
  // `threads` at least 1. At most `capacity` requests wait.
  InferPool(int threads, std::size_t capacity);
  // Waits for the inferences that run; those that wait are told 503.
  ~InferPool();

  // Answers `reply` in time, from a worker; at once with 503 if the queue is full. `target`
  // outlives the pool.
  void submit(InferTarget& target, HttpRequest request, HttpReply reply);

 private:
  using Clock = std::chrono::steady_clock;
  struct Job {
    InferTarget* target;
    HttpRequest request;
    HttpReply reply;
    Clock::time_point submitted;
  };
  void work();

  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// One inference request, from the text of its body to the response; counts it. For the pool and for
// tests.
[[nodiscard]] HttpResponse answer_infer(InferTarget& target, InferRequestParser& parser,
                                        HttpRequest request,
                                        std::chrono::steady_clock::time_point submitted);

} // namespace mlp::serve
