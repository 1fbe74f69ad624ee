// Workers that wait for a range, take their part of it, and wait again.
#include "kernels/cpu/threads.hpp"

#include <sched.h>

#include <cstdio>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace mlp::kernels::cpu {

namespace {

// The gaps between the operations of a training step are shorter than a sleep and a wake-up, so a
// thread looks for a while (some 50 us) before it sleeps.
constexpr int kSpins = 1500;

inline void pause() noexcept {
#ifdef __x86_64__
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

template <class Done>
bool spin(const Done& done) noexcept {
  for (int i = 0; i < kSpins; ++i) {
    if (done()) return true;
    pause();
  }
  return false;
}

} // namespace

int usable_cpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re")) {
    long long quota = 0;
    long long period = 0;
    if (std::fscanf(file, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0)
      cpus = static_cast<int>(std::min<long long>(cpus, (quota + period - 1) / period));
    std::fclose(file);
  }
  return std::max(cpus, 1);
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  workers_.clear(); // joins
}

void ThreadPool::dispatch(int parts, Call call, const void* context) {
  if (taken_.exchange(true, std::memory_order_acquire)) {
    for (int part = 0; part < parts; ++part)
      call(context, part);
    return;
  }
  if (workers_.empty() && size_ > 1) {
    workers_.reserve(static_cast<std::size_t>(size_ - 1));
    for (int i = 1; i < size_; ++i)
      workers_.emplace_back([this, i] { work(i); });
  }
  call_ = call;
  context_ = context;
  parts_ = parts;
  pending_.store(static_cast<std::uint32_t>(size_ - 1), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  call(context, 0);
  const auto done = [this] { return pending_.load(std::memory_order_acquire) == 0; };
  if (!spin(done)) {
    for (std::uint32_t left = pending_.load(std::memory_order_acquire); left != 0;
         left = pending_.load(std::memory_order_acquire))
      pending_.wait(left, std::memory_order_acquire);
  }
  taken_.store(false, std::memory_order_release);
}

void ThreadPool::work(int index) {
  // Generations count from 0, and a worker is started before the first is raised.
  for (std::uint32_t seen = 0;; ++seen) {
    const auto raised = [&] { return generation_.load(std::memory_order_acquire) != seen; };
    if (!spin(raised)) {
      while (!raised())
        generation_.wait(seen, std::memory_order_acquire);
    }
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (index < parts_) call_(context_, index);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
  }
}

} // namespace mlp::kernels::cpu
