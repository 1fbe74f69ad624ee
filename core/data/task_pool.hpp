// A few threads that run tasks from a short queue: submit() waits while the queue is full, so that
// whoever produces work cannot run ahead of those who do it, and memory stays bounded.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace mlp::data {

// submit() may be called from any thread but the pool's own (a task that submits could wait for
// itself). Destruction drops what is queued, whose futures then break, and waits for what runs.
class TaskPool {
 public:
  explicit TaskPool(unsigned threads, std::size_t queue_limit);
  ~TaskPool();
  TaskPool(TaskPool&&) = delete;

  // The future gives the task's result or its exception.
  template <class Task>
  auto submit(Task task) -> std::future<decltype(task())> {
    auto packaged = std::make_shared<std::packaged_task<decltype(task())()>>(std::move(task));
    auto future = packaged->get_future();
    enqueue([packaged] { (*packaged)(); });
    return future;
  }

  [[nodiscard]] unsigned threads() const { return static_cast<unsigned>(threads_.size()); }

 private:
  void enqueue(std::function<void()> task);
  void run();

  std::mutex mutex_;
  std::condition_variable not_empty_, not_full_;
  std::deque<std::function<void()>> queue_;
  std::size_t limit_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// The number of threads for work of this kind: `wanted`, or where that is 0 one for each CPU that
// this process may use, at least 1 and at most 16.
[[nodiscard]] unsigned choose_threads(unsigned wanted);

} // namespace mlp::data
