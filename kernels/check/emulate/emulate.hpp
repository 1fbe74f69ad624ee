// Runs the CUDA device's kernels on the host, so that their logic is checked where there is no GPU:
// included before a .cu file that is compiled as C++. Blocks run one after the other; the threads
// of a block are coroutines that take turns at barriers and exchanges. Order and warps are as CUDA
// promises and no better: turns go forwards or backwards, and memory model and speed are not
// emulated.
#pragma once

#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

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

// Runs work on a stream: now, or when a graph that it is recorded into is launched.
void submit(cudaStream_t stream, std::function<void()> work);
// Calls of cudaMalloc in this process.
unsigned long allocations() noexcept;
// kernel() once for every thread of the grid. Ends the process where threads wait for one another
// for ever.
void launch(dim3 grid, int threads, cudaStream_t stream, std::function<void()> kernel);

// The thread that runs.
struct Thread {
  uint3 thread_index, block_index;
  dim3 grid;
};
const Thread& current() noexcept;
void sync_block();
// What lane `source` of this warp has given; all lanes take part.
void exchange(const void* value, std::size_t bytes, int source, void* result);

template <class T>
T of_lane(T value, int source) {
  T result;
  exchange(&value, sizeof value, source, &result);
  return result;
}
inline int lane() {
  return static_cast<int>(current().thread_index.x) % kWarp;
}

} // namespace emulate

#define threadIdx (::emulate::current().thread_index)
#define blockIdx (::emulate::current().block_index)
#define gridDim (::emulate::current().grid)

inline void __syncthreads() {
  emulate::sync_block();
}
inline void __threadfence() {}
template <class T>
T __ldcg(const T* pointer) {
  return *pointer;
}
inline unsigned atomicInc(unsigned* pointer, unsigned most) {
  const unsigned old = *pointer;
  *pointer = old >= most ? 0 : old + 1;
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
