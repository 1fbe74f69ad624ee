// A queue, a mutex, two conditions.
#include "core/data/task_pool.hpp"

#include <sched.h>

#include <algorithm>

namespace mlp::data {

TaskPool::TaskPool(unsigned threads, std::size_t queue_limit) : limit_(queue_limit) {
  for (unsigned i = 0; i < std::max(1u, threads); ++i)
    threads_.emplace_back([this] { run(); });
}

TaskPool::~TaskPool() {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
  }
  not_empty_.notify_all();
  not_full_.notify_all();
  for (auto& thread : threads_)
    thread.join();
}

void TaskPool::enqueue(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  not_full_.wait(lock, [&] { return queue_.size() < limit_ || stopping_; });
  if (stopping_) return;
  queue_.push_back(std::move(task));
  lock.unlock();
  not_empty_.notify_one();
}

void TaskPool::run() {
  while (true) {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return !queue_.empty() || stopping_; });
    if (stopping_) return;
    const std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    not_full_.notify_one();
    task();
  }
}

unsigned choose_threads(unsigned wanted) {
  if (wanted == 0) {
    cpu_set_t set;
    wanted = ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set))
                                                           : std::thread::hardware_concurrency();
  }
  return std::clamp(wanted, 1u, 16u);
}

} // namespace mlp::data
