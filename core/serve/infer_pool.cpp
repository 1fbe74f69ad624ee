// What a worker does with a request, and how long each part of it took.
#include "core/serve/infer_pool.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>

namespace mlp::serve {

namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t microseconds(Clock::time_point from, Clock::time_point to) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
  return us > 0 ? static_cast<std::uint64_t>(us) : 0;
}

void add(ModelCounters::Counter& counter, std::uint64_t amount) {
  counter.fetch_add(amount, std::memory_order_relaxed);
}

int status_of(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::usage:
  case ErrorKind::config:
    return 400;
  case ErrorKind::not_found:
    return 404;
  case ErrorKind::denied:
    return 403;
  default:
    return 500;
  }
}

HttpResponse response_of(const Error& error) {
  std::string message = error.message();
  for (const std::string& hint : error.hints())
    if (!hint.empty()) message += fmt::format("; {}", hint);
  return error_response(status_of(error.kind()), message);
}

// How many items a request holds: the size of the first dimension that the model leaves open.
std::uint64_t batch_size(const model::Signature& signature,
                         const std::vector<model::NamedTensor>& inputs) {
  for (const model::NamedTensor& input : inputs) {
    const auto spec = std::find_if(signature.inputs.begin(), signature.inputs.end(),
                                   [&](const auto& s) { return s.name == input.name; });
    if (spec != signature.inputs.end() && !spec->shape.empty() && spec->shape.front() < 0 &&
        !input.tensor.shape.empty())
      return static_cast<std::uint64_t>(input.tensor.shape.front());
  }
  return 1;
}

HttpResponse unavailable(std::string_view message) {
  HttpResponse response = error_response(503, message);
  response.headers.push_back({"Retry-After", "1"});
  return response;
}

HttpResponse infer(InferTarget& target, InferRequestParser& parser, HttpRequest& request,
                   Clock::time_point submitted) {
  ModelCounters& counters = target.counters;
  const model::Signature& signature = target.model.runtime->signature();
  const auto began = Clock::now();
  InferRequest parsed = parser.parse(request.body);
  request.body = {};
  check_output_names(signature, parsed.outputs);
  const auto computing = Clock::now();
  const auto outputs = target.model.runtime->infer(parsed.inputs, parsed.outputs);
  const auto writing = Clock::now();
  HttpResponse response;
  append_infer_response(response.body, target.model.identity, parsed.id, outputs);
  const auto ended = Clock::now();
  add(counters.requests_succeeded, 1);
  add(counters.inferences, batch_size(signature, parsed.inputs));
  add(counters.executions, 1);
  add(counters.request_us, microseconds(request.received, ended));
  add(counters.queue_us, microseconds(submitted, began));
  add(counters.compute_input_us, microseconds(began, computing));
  add(counters.compute_infer_us, microseconds(computing, writing));
  add(counters.compute_output_us, microseconds(writing, ended));
  return response;
}

} // namespace

HttpResponse answer_infer(InferTarget& target, InferRequestParser& parser, HttpRequest request,
                          Clock::time_point submitted) {
  HttpResponse response;
  try {
    return infer(target, parser, request, submitted);
  } catch (const Error& error) {
    response = response_of(error);
  } catch (const std::bad_alloc&) {
    response = unavailable("out of memory for this request");
  } catch (const std::exception& error) {
    response = error_response(500, error.what());
  }
  add(target.counters.requests_failed, 1);
  return response;
}

InferPool::InferPool(int threads, std::size_t capacity) : capacity_(capacity) {
  for (int i = 0; i < std::max(threads, 1); ++i)
    threads_.emplace_back([this] { work(); });
}

InferPool::~InferPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_)
    thread.join();
  for (Job& job : jobs_)
    job.reply.send(unavailable("the server is stopping"));
}

void InferPool::submit(InferTarget& target, HttpRequest request, HttpReply reply) {
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() < capacity_ && !stopping_) {
      target.counters.pending.fetch_add(1, std::memory_order_relaxed);
      jobs_.push_back(Job{&target, std::move(request), std::move(reply), Clock::now()});
      wake_.notify_one();
      return;
    }
  }
  add(target.counters.requests_failed, 1);
  reply.send(unavailable("too many requests are waiting"));
}

void InferPool::work() {
  InferRequestParser parser;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job.target->counters.pending.fetch_sub(1, std::memory_order_relaxed);
    job.reply.send(answer_infer(*job.target, parser, std::move(job.request), job.submitted));
    lock.lock();
  }
}

} // namespace mlp::serve
