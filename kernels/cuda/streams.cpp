// Streams with their scratch and their ring of pinned memory.
#include "kernels/cuda/streams.hpp"

#include <cstring>

namespace mlp::kernels::cuda {

PinnedRing::PinnedRing() : slots_(kSlots) {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, kSlot * kSlots, cudaHostAllocDefault), "allocate pinned memory");
  memory_ = static_cast<char*>(memory);
}

PinnedRing::~PinnedRing() {
  static_cast<void>(cudaFreeHost(memory_));
}

void PinnedRing::copy_in(cudaStream_t stream, void* device, const void* host, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_[static_cast<std::size_t>(next_)];
  if (slot.used) check(cudaEventSynchronize(slot.done.get()), "wait for a copy to the GPU");
  char* at = memory_ + static_cast<std::size_t>(next_) * kSlot;
  std::memcpy(at, host, bytes);
  check(cudaMemcpyAsync(device, at, bytes, cudaMemcpyHostToDevice, stream), "copy to the GPU");
  check(cudaEventRecord(slot.done.get(), stream), "copy to the GPU");
  slot.used = true;
  next_ = (next_ + 1) % kSlots;
}

StreamState::StreamState(int processors, bool is_default) {
  queue_.processors = processors;
  constexpr std::size_t kSums = static_cast<std::size_t>(kScratchSums + 1) * sizeof(double);
  constexpr std::size_t kTickets = static_cast<std::size_t>(kScratchTickets) * sizeof(unsigned);
  void* memory = nullptr;
  check(cudaMalloc(&memory, kSums + kTickets), "allocate a stream's memory on the GPU");
  queue_.scratch.sums = static_cast<double*>(memory);
  queue_.scratch.tickets =
      reinterpret_cast<unsigned*>(static_cast<char*>(memory) + kSums); // kSums is a multiple of 8
  try {
    if (!is_default)
      check(cudaStreamCreateWithFlags(&queue_.stream, cudaStreamNonBlocking), "make a stream");
    // On this stream alone: waiting for the whole GPU is not allowed while another thread records.
    check(cudaMemsetAsync(queue_.scratch.tickets, 0, kTickets, queue_.stream),
          "clear a stream's memory");
    check(cudaStreamSynchronize(queue_.stream), "clear a stream's memory");
  } catch (...) {
    if (queue_.stream != nullptr) static_cast<void>(cudaStreamDestroy(queue_.stream));
    static_cast<void>(cudaFree(memory));
    throw;
  }
}

StreamState::~StreamState() {
  static_cast<void>(cudaStreamSynchronize(queue_.stream));
  if (queue_.stream != nullptr) static_cast<void>(cudaStreamDestroy(queue_.stream));
  static_cast<void>(cudaFree(queue_.scratch.sums));
}

void StreamState::order(cudaStream_t later) {
  const std::lock_guard lock(mutex_);
  check(cudaEventRecord(reached_.get(), queue_.stream), "order two streams");
  check(cudaStreamWaitEvent(later, reached_.get(), 0), "order two streams");
}

Streams::Streams(int processors) : processors_(processors) {
  streams_.emplace(nullptr, std::make_unique<StreamState>(processors, true));
}

Stream Streams::make() {
  auto state = std::make_unique<StreamState>(processors_, false);
  void* handle = state->handle();
  const std::unique_lock lock(mutex_);
  streams_[handle] = std::move(state);
  return {handle};
}

void Streams::release(Stream stream) noexcept {
  std::unique_ptr<StreamState> gone; // ends outside the lock, because it waits
  {
    const std::unique_lock lock(mutex_);
    const auto found = streams_.find(stream.handle);
    if (found == streams_.end() || stream.handle == nullptr) return;
    gone = std::move(found->second);
    streams_.erase(found);
  }
}

StreamState& Streams::at(Stream stream) const {
  const std::shared_lock lock(mutex_);
  const auto found = streams_.find(stream.handle);
  if (found == streams_.end())
    throw Error(ErrorKind::invalid, "the stream is not one that this device has made");
  return *found->second;
}

} // namespace mlp::kernels::cuda
