// What the measuring functions share: memory and streams that free themselves, and the one loop
// that times. Inside kernels/preflight only.
#pragma once

#include "kernels/cuda/runtime.hpp"
#include "kernels/preflight/measure.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace mlp::kernels::preflight {

using cuda::check;

// Memory of the GPU that is selected when it is made. cudaFree finds the GPU by the address.
class GpuMemory {
 public:
  explicit GpuMemory(std::size_t bytes) { check(cudaMalloc(&data_, bytes), "allocate GPU memory"); }
  GpuMemory(GpuMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  GpuMemory& operator=(GpuMemory&&) = delete;
  ~GpuMemory() {
    if (data_ != nullptr) static_cast<void>(cudaFree(data_));
  }
  void* data() const noexcept { return data_; }

 private:
  void* data_ = nullptr;
};

class PinnedMemory {
 public:
  explicit PinnedMemory(std::size_t bytes) {
    check(cudaHostAlloc(&data_, bytes, cudaHostAllocDefault), "allocate pinned memory");
  }
  PinnedMemory(PinnedMemory&&) = delete;
  ~PinnedMemory() { static_cast<void>(cudaFreeHost(data_)); }
  void* data() const noexcept { return data_; }

 private:
  void* data_ = nullptr;
};

class OwnStream {
 public:
  OwnStream() {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "make a stream");
  }
  OwnStream(OwnStream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  OwnStream& operator=(OwnStream&&) = delete;
  ~OwnStream() {
    if (stream_ == nullptr) return;
    static_cast<void>(cudaStreamSynchronize(stream_)); // before the buffers made ahead of it go
    static_cast<void>(cudaStreamDestroy(stream_));
  }
  cudaStream_t get() const noexcept { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_), "wait for the GPU"); }

 private:
  cudaStream_t stream_ = nullptr;
};

using Clock = std::chrono::steady_clock;

inline void throw_if_stopped(const Budget& budget) {
  if (budget.stop.stop_requested()) throw Error(ErrorKind::failed, "stopped");
}

// True while another repetition is due. The reason for the outer bound: `least` repetitions of a
// very slow GPU must not take for ever.
inline bool goes_on(const Budget& budget, Clock::time_point began, int done) {
  throw_if_stopped(budget);
  if (done == 0) return true;
  const auto spent = Clock::now() - began;
  if (done >= budget.most || spent > 5 * budget.time) return false;
  return done < budget.least || spent < budget.time;
}

// From seconds of each repetition, and what one of them moves or computes.
inline Rate rate_of(std::vector<double> seconds, std::uint64_t amount) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t half = seconds.size() / 2;
  const double median =
      seconds.size() % 2 == 1 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
  return {.median = static_cast<double>(amount) / median,
          .best = static_cast<double>(amount) / seconds.front(),
          .repetitions = static_cast<int>(seconds.size()),
          .amount = amount};
}

// Two rounds of warm-up, then each repetition between two events of `stream`. `body` queues one on
// it.
template <class Body>
Rate time_on(const OwnStream& stream, const Budget& budget, std::uint64_t amount,
             const Body& body) {
  const cuda::Event begin(true), end(true);
  throw_if_stopped(budget);
  body();
  body();
  stream.wait();
  std::vector<double> seconds;
  const Clock::time_point began = Clock::now();
  while (goes_on(budget, began, static_cast<int>(seconds.size()))) {
    check(cudaEventRecord(begin.get(), stream.get()), "record an event");
    body();
    check(cudaEventRecord(end.get(), stream.get()), "record an event");
    check(cudaEventSynchronize(end.get()), "wait for the GPU");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), "read a time");
    // The clock of events ticks in half microseconds.
    seconds.push_back(std::max(static_cast<double>(milliseconds), 5e-4) * 1e-3);
  }
  return rate_of(std::move(seconds), amount);
}

// Free memory of the selected GPU in bytes.
inline std::size_t free_memory() {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "ask for free memory");
  return free;
}

inline constexpr std::size_t mib = std::size_t{1} << 20;
#if defined(MLP_EMULATE_CUDA)
inline constexpr std::size_t least_buffer = mib; // has no caches, and takes its time
#else
inline constexpr std::size_t least_buffer = 64 * mib;
#endif

// A buffer of at most `wanted` bytes of which `count` fit in nine tenths of the free memory; a
// multiple of 1 MiB. Error(out_of_memory) below least_buffer.
inline std::size_t buffer_bytes(std::size_t wanted, std::size_t count) {
  const std::size_t room = free_memory() / 10 * 9 / count;
  const std::size_t bytes = std::min(wanted, room) / mib * mib;
  if (bytes < least_buffer)
    throw Error(ErrorKind::out_of_memory, "too little free GPU memory to measure",
                "end the processes that hold it: mlp gpu ls --processes");
  return bytes;
}

// Launchers of memory.cu. Sizes in elements.
void fill_random_f32(cudaStream_t stream, float* data, std::size_t size, std::uint32_t seed);
void fill_random_bf16(cudaStream_t stream, void* data, std::size_t size, std::uint32_t seed);
void fill_f32(cudaStream_t stream, float* data, std::size_t size, float value);
// Adds to *count the elements that are not `value`.
void count_other_f32(cudaStream_t stream, const float* data, std::size_t size, float value,
                     unsigned long long* count);

} // namespace mlp::kernels::preflight
