// As much of the CUDA runtime as the CUDA device uses, over host memory. Work is done at once, or
// is recorded while a stream is captured. Fresh memory is filled with NaN.
#include "kernels/check/emulate/emulate.hpp"
#include "kernels/check/emulate/watch.hpp"
#include "kernels/device.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <vector>

struct CUstream_st {
  bool capturing = false;
  std::vector<std::function<void()>> recorded;
};
struct CUevent_st {
  std::chrono::steady_clock::time_point recorded;
};
struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};

namespace emulate {

void submit(cudaStream_t stream, std::function<void()> work) {
  if (stream != nullptr && stream->capturing)
    stream->recorded.push_back(std::move(work));
  else
    work();
}

} // namespace emulate

namespace {

constexpr int kProcessors = 3; // few, so that loops over a grid go round more than once
std::atomic<unsigned long> allocated{0};
std::atomic<unsigned long> copied{0};

// What cudaMalloc has given.
struct Blocks {
  std::mutex mutex;
  std::vector<std::span<std::byte>> all;
  std::size_t memory = std::size_t{16} << 30;
};
Blocks& given() {
  static Blocks one;
  return one;
}

std::function<void()> wait_hook; // set while nothing runs

cudaError_t allocate(void** pointer, std::size_t bytes) {
  constexpr std::size_t kAlign = 256;
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

unsigned long allocations() noexcept {
  return allocated;
}
unsigned long copies() noexcept {
  return copied;
}

std::vector<std::span<std::byte>> blocks() {
  const std::lock_guard lock(given().mutex);
  return given().all;
}
void set_memory(std::size_t bytes) {
  const std::lock_guard lock(given().mutex);
  given().memory = bytes;
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
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  ++allocated;
  const cudaError_t status = allocate(pointer, bytes);
  if (status != cudaSuccess) return status;
  const std::lock_guard lock(given().mutex);
  given().all.emplace_back(static_cast<std::byte*>(*pointer), bytes);
  return status;
}
cudaError_t cudaFree(void* pointer) {
  {
    const std::lock_guard lock(given().mutex);
    std::erase_if(given().all, [&](const auto& block) { return block.data() == pointer; });
  }
  return release(pointer);
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const std::lock_guard lock(given().mutex);
  *total = *free = given().memory;
  for (const auto& block : given().all)
    *free -= std::min(*free, block.size());
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
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream != nullptr && stream->capturing) return cudaErrorStreamCaptureUnsupported;
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
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->recorded = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->recorded - begin->recorded).count();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
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
  *executable = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
  for (const auto& work : executable->work)
    work();
  return cudaSuccess;
}
} // extern "C"

namespace mlp::kernels {

CudaStatus cuda_status() {
  return {.devices = 1, .reason = ""};
}

} // namespace mlp::kernels
