// As much of the CUDA runtime as the CUDA device uses, over host memory. Work is done when the
// schedule says, or is recorded while a stream is captured. Fresh memory is filled with NaN.
#include "kernels/check/emulate/emulate.hpp"
#include "kernels/check/emulate/schedule.hpp"
#include "kernels/check/emulate/watch.hpp"
#include "kernels/device.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <vector>

using Work = std::vector<std::function<void()>>;

struct CUstream_st {
  std::shared_ptr<emulate::Queue> queue = emulate::make_queue();
  bool capturing = false;
  Work recorded;
};
struct CUevent_st {
  using Time = std::chrono::steady_clock::time_point;
  emulate::Mark last; // recorded
  std::shared_ptr<Time> time = std::make_shared<Time>();
};
struct CUgraph_st {
  Work work;
};
struct CUgraphExec_st {
  std::shared_ptr<const Work> work;
};

namespace {

constexpr std::size_t kGraphNode = 1024; // bytes that an operation of a graph takes
constexpr int kProcessors = 3;           // few, so that loops over a grid go round more than once
std::atomic<unsigned long> allocated{0};
std::atomic<unsigned long> copied{0};
std::atomic<unsigned long> launched{0};

// What cudaMalloc and graphs have taken.
struct DeviceMemory {
  std::mutex mutex;
  std::vector<std::span<std::byte>> blocks; // in the order in which they were allocated
  std::size_t told = std::size_t{16} << 30; // what cudaMemGetInfo() tells of
  std::size_t limit = SIZE_MAX, used = 0, most = 0;

  bool take(std::size_t bytes) {
    const std::lock_guard lock(mutex);
    if (bytes > limit || used > limit - bytes) return false;
    used += bytes;
    return true;
  }
  void keep(void* pointer, std::size_t bytes) {
    const std::lock_guard lock(mutex);
    blocks.emplace_back(static_cast<std::byte*>(pointer), bytes);
    most = std::max(most, used);
  }
  void give_back(std::size_t bytes) {
    const std::lock_guard lock(mutex);
    used -= bytes;
  }
  std::size_t forget(void* pointer) {
    const std::lock_guard lock(mutex);
    const auto found =
        std::find_if(blocks.begin(), blocks.end(),
                     [&](const std::span<std::byte> block) { return block.data() == pointer; });
    if (found == blocks.end()) return 0;
    const std::size_t bytes = found->size();
    blocks.erase(found);
    return bytes;
  }
};
DeviceMemory& device_memory() {
  static DeviceMemory one;
  return one;
}

CUstream_st& stream_of(cudaStream_t stream) {
  static CUstream_st standard;
  return stream != nullptr ? *stream : standard;
}

std::function<void()> wait_hook; // set while nothing runs

cudaError_t allocate(void** pointer, std::size_t bytes) {
  constexpr std::size_t kAlign = 256;
  ++allocated;
  const std::size_t size = (bytes + kAlign - 1) / kAlign * kAlign;
  *pointer = size < bytes ? nullptr : std::aligned_alloc(kAlign, size);
  if (*pointer == nullptr) return cudaErrorMemoryAllocation;
  if (size < (std::size_t{1} << 30)) std::memset(*pointer, 0xFF, size);
  emulate::memory_begins(*pointer, bytes);
  return cudaSuccess;
}

cudaError_t release(void* pointer) {
  emulate::memory_ends(pointer);
  std::free(pointer);
  return cudaSuccess;
}

} // namespace

namespace emulate {

void submit(cudaStream_t stream, std::function<void()> work) {
  CUstream_st& s = stream_of(stream);
  if (s.capturing)
    s.recorded.push_back(std::move(work));
  else
    put(s.queue, std::move(work));
}

unsigned long allocations() noexcept {
  return allocated;
}
unsigned long copies() noexcept {
  return copied;
}
unsigned long graph_launches() noexcept {
  return launched;
}

void limit_memory(std::size_t bytes) noexcept {
  DeviceMemory& memory = device_memory();
  const std::lock_guard lock(memory.mutex);
  memory.limit = bytes;
  memory.most = memory.used;
}
std::size_t memory_in_use() noexcept {
  const std::lock_guard lock(device_memory().mutex);
  return device_memory().used;
}
std::size_t most_memory_used() noexcept {
  const std::lock_guard lock(device_memory().mutex);
  return device_memory().most;
}

std::vector<std::span<std::byte>> blocks() {
  const std::lock_guard lock(device_memory().mutex);
  return device_memory().blocks;
}
void tell_memory(std::size_t bytes) {
  const std::lock_guard lock(device_memory().mutex);
  device_memory().told = bytes;
}
void at_wait(std::function<void()> hook) {
  wait_hook = std::move(hook);
}

} // namespace emulate

extern "C" {
cudaError_t cudaSetDevice(int) {
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t) {
  return "an emulated error";
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = kProcessors;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  emulate::finish_all();
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  DeviceMemory& memory = device_memory();
  if (!memory.take(bytes)) return cudaErrorMemoryAllocation;
  const cudaError_t status = allocate(pointer, bytes);
  if (status == cudaSuccess)
    memory.keep(*pointer, bytes);
  else
    memory.give_back(bytes);
  return status;
}
cudaError_t cudaFree(void* pointer) {
  emulate::finish_all();
  device_memory().give_back(device_memory().forget(pointer));
  return release(pointer);
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  DeviceMemory& memory = device_memory();
  const std::lock_guard lock(memory.mutex);
  *total = memory.told;
  *free = memory.told - std::min(memory.told, memory.used);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char*, int, int) {
  return cudaErrorInvalidDevice; // is on no bus
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 1;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) {
  return cudaSuccess;
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, std::size_t bytes,
                                cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}
cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  return allocate(pointer, bytes);
}
cudaError_t cudaFreeHost(void* pointer) {
  return release(pointer);
}
cudaError_t cudaMemset(void* pointer, int value, std::size_t bytes) {
  emulate::finish_all();
  std::memset(pointer, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* pointer, int value, std::size_t bytes, cudaStream_t stream) {
  emulate::submit(stream, [=] { std::memset(pointer, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  emulate::submit(stream, [=] {
    ++copied;
    std::memcpy(to, from, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  emulate::finish(emulate::mark(stream->queue));
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const CUstream_st& s = stream_of(stream);
  if (s.capturing) return cudaErrorStreamCaptureUnsupported;
  emulate::finish(emulate::mark(s.queue));
  if (wait_hook) wait_hook();
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
// Recordings of several streams are not emulated.
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const CUstream_st& s = stream_of(stream);
  if (s.capturing) return cudaErrorStreamCaptureUnsupported;
  emulate::put(s.queue, [time = event->time] { *time = std::chrono::steady_clock::now(); });
  event->last = emulate::mark(s.queue);
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  emulate::finish(begin->last);
  emulate::finish(end->last);
  *milliseconds = std::chrono::duration<float, std::milli>(*end->time - *begin->time).count();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  emulate::finish(event->last);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const CUstream_st& s = stream_of(stream);
  if (s.capturing) return cudaErrorStreamCaptureUnsupported;
  emulate::wait_on(s.queue, event->last);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->capturing = true;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  stream->capturing = false;
  *graph = new CUgraph_st{std::move(stream->recorded)};
  stream->recorded.clear();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  const std::size_t bytes = kGraphNode * graph->work.size();
  ++allocated;
  if (!device_memory().take(bytes)) return cudaErrorMemoryAllocation;
  *executable = new CUgraphExec_st{std::make_shared<const Work>(graph->work)};
  device_memory().keep(*executable, bytes);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  device_memory().give_back(device_memory().forget(executable));
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  ++launched;
  emulate::submit(stream, [all = executable->work] {
    for (const auto& work : *all)
      work();
  });
  return cudaSuccess;
}
} // extern "C"

namespace mlp::kernels {

CudaStatus cuda_status() {
  return {.devices = 1, .reason = ""};
}

} // namespace mlp::kernels
