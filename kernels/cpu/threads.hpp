// The CPU device's worker threads: a range is cut into as many equal parts as there are threads,
// by its size alone, so that results do not depend on which thread was free.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace mlp::kernels::cpu {

// CPUs that this process may use: its affinity, and its control group's quota rounded up.
int usable_cpus();

// Thread-safe: while one caller has the workers, the parts of another run in the calling thread.
class ThreadPool {
 public:
  explicit ThreadPool(int threads) : size_(std::max(threads, 1)) {}
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const noexcept { return size_; }

  // body(part) for each part in [0, parts), parts <= size(); returns when all are done. body must
  // not throw.
  template <class Body>
  void run(int parts, const Body& body) {
    static_assert(std::is_invocable_v<const Body&, int>);
    if (parts <= 1) {
      if (parts == 1) body(0);
      return;
    }
    dispatch(
        parts, [](const void* context, int part) { (*static_cast<const Body*>(context))(part); },
        &body);
  }

  // Parts that a range of `size` is worth when a part should have at least `least` of it.
  int parts(std::int64_t size, std::int64_t least) const noexcept {
    return static_cast<int>(
        std::clamp<std::int64_t>(size / std::max<std::int64_t>(least, 1), 1, size_));
  }

  // body(begin, end) over [0, size) in parts whose bounds are multiples of `grain`.
  template <class Body>
  void split(std::int64_t size, std::int64_t grain, std::int64_t least, const Body& body) {
    const int count = parts(size, least);
    run(count, [&](int part) {
      const auto [begin, end] = range(size, grain, count, part);
      if (begin < end) body(begin, end);
    });
  }

  struct Range {
    std::int64_t begin, end;
  };
  static Range range(std::int64_t size, std::int64_t grain, int parts, int part) noexcept {
    const std::int64_t grains = (size + grain - 1) / grain;
    const std::int64_t begin = grains * part / parts * grain;
    const std::int64_t end = grains * (part + 1) / parts * grain;
    return {std::min(begin, size), std::min(end, size)};
  }

 private:
  using Call = void (*)(const void* context, int part);
  void dispatch(int parts, Call call, const void* context);
  void work(int index);

  const int size_;
  std::atomic<bool> taken_ = false;
  std::vector<std::jthread> workers_;

  // The job of this generation; written before generation_ is raised.
  Call call_ = nullptr;
  const void* context_ = nullptr;
  int parts_ = 0;
  alignas(64) std::atomic<std::uint32_t> generation_ = 0;
  alignas(64) std::atomic<std::uint32_t> pending_ = 0;
  std::atomic<bool> stopping_ = false;
};

} // namespace mlp::kernels::cpu
