// Runs the CUDA device's kernels on the host, so that their logic is checked where there is no GPU:
// included before a .cu file that is compiled as C++. Blocks run one after the other; the threads
// of a block are coroutines that take turns at barriers and exchanges. Order and warps are as CUDA
// promises and no better: turns go forwards or backwards, and speed is not emulated. Every access
// to memory is watched for races and bounds, see watch.hpp.
#pragma once

#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <type_traits>
#include <vector>

#define MLP_EMULATE_CUDA 1
#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __forceinline__
#undef __grid_constant__
#undef __launch_bounds__
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define __shared__ static // one block runs at a time

namespace emulate {

inline constexpr int kWarp = 32;

// Queues work on a stream, or records it into the graph that the stream is captured into.
void submit(cudaStream_t stream, std::function<void()> work);
// run(data) once for every thread of the grid; `data`, of `bytes`, is what it is launched with, and
// is copied. Ends the process where the GPU would refuse the grid, or where threads wait for one
// another for ever.
void launch_copy(dim3 grid, int threads, cudaStream_t stream, void (*run)(const void* data),
                 const void* data, std::size_t bytes);
template <class Body>
void launch(dim3 grid, int threads, cudaStream_t stream, const Body& body) {
  static_assert(std::is_trivially_copyable_v<Body>);
  launch_copy(
      grid, threads, stream, [](const void* data) { (*static_cast<const Body*>(data))(); }, &body,
      sizeof body);
}

// Of the thread that runs.
uint3 thread_index() noexcept;
uint3 block_index() noexcept;
dim3 grid_size() noexcept;
void sync_block();
void sync_warp();
void fence(); // of the whole GPU
// Announces that the thread is about to change `bytes` at `address` in one step.
void atomic(const void* address, std::size_t bytes);
// What lane `source` of this warp has given; all lanes take part. Orders no memory, as CUDA's
// shuffles do not.
void exchange(const void* value, std::size_t bytes, int source, void* result);

template <class T>
T of_lane(T value, int source) {
  T result;
  exchange(&value, sizeof value, source, &result);
  return result;
}
inline int lane() {
  return static_cast<int>(thread_index().x) % kWarp;
}

} // namespace emulate

#define threadIdx (::emulate::thread_index())
#define blockIdx (::emulate::block_index())
#define gridDim (::emulate::grid_size())

inline void __syncthreads() {
  emulate::sync_block();
}
inline void __syncwarp() {
  emulate::sync_warp();
}
inline void __threadfence() {
  emulate::fence();
}
template <class T>
T __ldcg(const T* pointer) {
  return *pointer;
}
// Announced instead of watched.
__attribute__((no_sanitize("thread"), noinline)) inline unsigned atomicInc(unsigned* pointer,
                                                                           unsigned most) {
  emulate::atomic(pointer, sizeof *pointer);
  const unsigned old = *pointer;
  *pointer = old >= most ? 0 : old + 1;
  return old;
}
__attribute__((no_sanitize("thread"), noinline)) inline int atomicExch(int* pointer, int value) {
  emulate::atomic(pointer, sizeof *pointer);
  const int old = *pointer;
  *pointer = value;
  return old;
}
__attribute__((no_sanitize("thread"), noinline)) inline unsigned long long
atomicAdd(unsigned long long* pointer, unsigned long long value) {
  emulate::atomic(pointer, sizeof *pointer);
  const unsigned long long old = *pointer;
  *pointer = old + value;
  return old;
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulate::of_lane(value, emulate::lane() ^ mask);
}
template <class T>
T __shfl_sync(unsigned, T value, int source, int width) {
  return emulate::of_lane(value, emulate::lane() / width * width + source % width);
}
