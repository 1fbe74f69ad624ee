// The streams of one GPU, each with what its operations need: scratch for sums over blocks, and a
// ring of pinned memory through which small copies go up without waiting.
#pragma once

#include "kernels/cuda/ops.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace mlp::kernels::cuda {

// Pinned host memory in slots; a slot is written again once its last copy is done.
class PinnedRing {
 public:
  static constexpr std::size_t kSlot = std::size_t{256} << 10;
  static constexpr int kSlots = 8;

  PinnedRing();
  PinnedRing(const PinnedRing&) = delete;
  PinnedRing& operator=(const PinnedRing&) = delete;
  ~PinnedRing();
  // Copies `bytes` <= kSlot; waits only where all slots are on their way.
  void copy_in(cudaStream_t stream, void* device, const void* host, std::size_t bytes);

 private:
  struct Slot {
    Event done;
    bool used = false;
  };
  std::mutex mutex_;
  char* memory_ = nullptr;
  std::vector<Slot> slots_;
  int next_ = 0;
};

// One stream. `handle` null is the device's default stream.
class StreamState {
 public:
  StreamState(int processors, bool is_default);
  StreamState(const StreamState&) = delete;
  StreamState& operator=(const StreamState&) = delete;
  ~StreamState(); // waits for what is queued

  const Queue& queue() const noexcept { return queue_; }
  cudaStream_t handle() const noexcept { return queue_.stream; }
  PinnedRing& ring() noexcept { return ring_; }
  // Queues on `later` a wait for what is queued here by now.
  void order(cudaStream_t later);

  std::atomic<bool> capturing{false};

 private:
  Queue queue_;
  PinnedRing ring_;
  std::mutex mutex_;
  Event reached_;
};

// Thread-safe. The GPU has been selected by the caller.
class Streams {
 public:
  explicit Streams(int processors);
  Stream make();
  void release(Stream stream) noexcept;
  // ErrorKind::invalid for a stream that make() has not made.
  StreamState& at(Stream stream) const;

 private:
  int processors_;
  mutable std::shared_mutex mutex_;
  std::map<void*, std::unique_ptr<StreamState>> streams_;
};

} // namespace mlp::kernels::cuda
