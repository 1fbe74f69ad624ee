// Memory of a GPU: how fast it is (copy, triad), and whether it keeps what is written (pattern).
#include "kernels/cuda/launch.cuh"
#include "kernels/preflight/timing.hpp"

#include <cuda_bf16.h>

#include <memory>

namespace mlp::kernels::preflight {

namespace {

constexpr int threads = cuda::kBlock;
constexpr int vectors =
    4; // of 16 bytes a thread: enough loads in flight to fill the memory's queue
constexpr std::size_t span = std::size_t{threads} * vectors; // vectors of one block

// Grids cover the buffers exactly: a buffer is a multiple of 1 MiB, a block's span 16 KiB.
unsigned blocks_of(std::size_t bytes) {
  return static_cast<unsigned>(bytes / (span * sizeof(uint4)));
}

__global__ void __launch_bounds__(threads)
    copy_kernel(const uint4* __restrict__ from, uint4* __restrict__ to) {
  const std::size_t first = blockIdx.x * span + threadIdx.x;
  uint4 held[vectors];
#pragma unroll
  for (int i = 0; i < vectors; ++i)
    held[i] = from[first + i * threads];
#pragma unroll
  for (int i = 0; i < vectors; ++i)
    to[first + i * threads] = held[i];
}

__global__ void __launch_bounds__(threads)
    triad_kernel(const float4* __restrict__ b, const float4* __restrict__ c, float scale,
                 float4* __restrict__ a) {
  const std::size_t first = blockIdx.x * span + threadIdx.x;
  float4 left[vectors], right[vectors];
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    left[i] = b[first + i * threads];
    right[i] = c[first + i * threads];
  }
#pragma unroll
  for (int i = 0; i < vectors; ++i)
    a[first + i * threads] =
        make_float4(left[i].x + scale * right[i].x, left[i].y + scale * right[i].y,
                    left[i].z + scale * right[i].z, left[i].w + scale * right[i].w);
}

// A word that depends on its place: the finaliser of SplitMix64 (Steele, Lea & Flood 2014), so that
// neighbouring words differ in about half of their bits and a stuck or crossed address line shows.
__device__ unsigned long long word_of(unsigned long long place) {
  unsigned long long z = (place + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// Words [first, first + size) of the pattern; `flip` is 0 or all ones.
__global__ void __launch_bounds__(threads)
    write_kernel(unsigned long long* data, std::size_t size, unsigned long long first,
                 unsigned long long flip) {
  const std::size_t step = std::size_t{gridDim.x} * threads;
  for (std::size_t i = blockIdx.x * std::size_t{threads} + threadIdx.x; i < size; i += step)
    data[i] = word_of(first + i) ^ flip;
}

__global__ void __launch_bounds__(threads)
    verify_kernel(const unsigned long long* data, std::size_t size, unsigned long long first,
                  unsigned long long flip, unsigned long long* mismatches) {
  const std::size_t step = std::size_t{gridDim.x} * threads;
  unsigned long long wrong = 0;
  for (std::size_t i = blockIdx.x * std::size_t{threads} + threadIdx.x; i < size; i += step)
    wrong += data[i] != (word_of(first + i) ^ flip) ? 1 : 0;
  if (wrong != 0) atomicAdd(mismatches, wrong);
}

// PCG's output function over a counter (O'Neill 2014), to [-1, 1).
__device__ float random_of(std::uint32_t counter) {
  const std::uint32_t state = counter * 747796405U + 2891336453U;
  const std::uint32_t word = ((state >> ((state >> 28U) + 4U)) ^ state) * 277803737U;
  return static_cast<float>((word >> 22U) ^ word) * 0x1p-31F - 1.0F;
}

template <class T>
__global__ void __launch_bounds__(threads)
    random_kernel(T* data, std::size_t size, std::uint32_t seed) {
  const std::size_t step = std::size_t{gridDim.x} * threads;
  for (std::size_t i = blockIdx.x * std::size_t{threads} + threadIdx.x; i < size; i += step)
    data[i] = static_cast<T>(random_of(static_cast<std::uint32_t>(i) ^ seed));
}

__global__ void __launch_bounds__(threads) fill_kernel(float* data, std::size_t size, float value) {
  const std::size_t step = std::size_t{gridDim.x} * threads;
  for (std::size_t i = blockIdx.x * std::size_t{threads} + threadIdx.x; i < size; i += step)
    data[i] = value;
}

__global__ void __launch_bounds__(threads)
    count_kernel(const float* data, std::size_t size, float value, unsigned long long* count) {
  const std::size_t step = std::size_t{gridDim.x} * threads;
  unsigned long long other = 0;
  for (std::size_t i = blockIdx.x * std::size_t{threads} + threadIdx.x; i < size; i += step)
    other += data[i] != value ? 1 : 0;
  if (other != 0) atomicAdd(count, other);
}

// For loops with a stride of the grid: enough blocks for any GPU, and no more than the work.
unsigned loop_blocks(std::size_t size) {
  return static_cast<unsigned>(std::min<std::size_t>((size + threads - 1) / threads, 8192));
}

template <class Kernel, class... Arguments>
void launch(const char* what, Kernel* kernel, unsigned blocks, cudaStream_t stream,
            Arguments... arguments) {
  const cuda::Queue queue{.stream = stream, .scratch = {}};
  cuda::launch(what, kernel, dim3(blocks), queue, arguments...);
}

constexpr std::size_t gib = std::size_t{1} << 30;

struct Chunk {
  GpuMemory memory;
  std::size_t bytes;
};

// Up to `most` bytes in chunks; what the driver needs to go on working stays free.
std::vector<Chunk> take_memory(std::size_t most) {
  constexpr std::size_t reserve = std::size_t{512} << 20;
  constexpr std::size_t granule = std::size_t{2} << 20;
  std::vector<Chunk> chunks;
  std::size_t taken = 0;
  while (taken < most) {
    const std::size_t free = free_memory();
    if (free <= reserve + granule) break;
    const std::size_t bytes = std::min({gib, free - reserve, most - taken}) / granule * granule;
    if (bytes == 0) break;
    try {
      chunks.push_back({GpuMemory(bytes), bytes});
    } catch (const Error& error) {
      // Free memory may be in pieces: what was got is tested.
      if (error.kind() != ErrorKind::out_of_memory || chunks.empty()) throw;
      break;
    }
    taken += bytes;
  }
  if (chunks.empty())
    throw Error(ErrorKind::out_of_memory, "too little free GPU memory to test",
                "end the processes that hold it: mlp gpu ls --processes");
  return chunks;
}

// One pattern over all chunks: everything is written before anything is read, so that what is read
// comes from memory and not from a cache.
void pass(const OwnStream& stream, const std::vector<Chunk>& chunks, unsigned long long seed,
          unsigned long long flip, unsigned long long* mismatches, const Budget& budget) {
  for (const bool write : {true, false}) {
    unsigned long long first = seed;
    for (const Chunk& chunk : chunks) {
      throw_if_stopped(budget);
      auto* data = static_cast<unsigned long long*>(chunk.memory.data());
      const std::size_t size = chunk.bytes / sizeof(unsigned long long);
      if (write)
        launch("test memory", write_kernel, loop_blocks(size), stream.get(), data, size, first,
               flip);
      else
        launch("test memory", verify_kernel, loop_blocks(size), stream.get(), data, size, first,
               flip, mismatches);
      first += size;
    }
    stream.wait();
  }
}

} // namespace

void fill_random_f32(cudaStream_t stream, float* data, std::size_t size, std::uint32_t seed) {
  launch("fill with random numbers", random_kernel<float>, loop_blocks(size), stream, data, size,
         seed);
}

void fill_random_bf16(cudaStream_t stream, void* data, std::size_t size, std::uint32_t seed) {
  launch("fill with random numbers", random_kernel<__nv_bfloat16>, loop_blocks(size), stream,
         static_cast<__nv_bfloat16*>(data), size, seed);
}

void fill_f32(cudaStream_t stream, float* data, std::size_t size, float value) {
  launch("fill with a number", fill_kernel, loop_blocks(size), stream, data, size, value);
}

void count_other_f32(cudaStream_t stream, const float* data, std::size_t size, float value,
                     unsigned long long* count) {
  launch("count wrong sums", count_kernel, loop_blocks(size), stream, data, size, value, count);
}

Rate memory_copy(int gpu, const Budget& budget) {
  cuda::use(gpu);
  const std::size_t bytes = buffer_bytes(gib, 2);
  const GpuMemory from(bytes), to(bytes);
  const OwnStream stream;
  fill_random_f32(stream.get(), static_cast<float*>(from.data()), bytes / sizeof(float), 1);
  return time_on(stream, budget, 2 * std::uint64_t{bytes}, [&] {
    launch("copy", copy_kernel, blocks_of(bytes), stream.get(),
           static_cast<const uint4*>(from.data()), static_cast<uint4*>(to.data()));
  });
}

Rate memory_triad(int gpu, const Budget& budget) {
  cuda::use(gpu);
  const std::size_t bytes = buffer_bytes(gib, 3);
  const GpuMemory a(bytes), b(bytes), c(bytes);
  const OwnStream stream;
  fill_random_f32(stream.get(), static_cast<float*>(b.data()), bytes / sizeof(float), 2);
  fill_random_f32(stream.get(), static_cast<float*>(c.data()), bytes / sizeof(float), 3);
  return time_on(stream, budget, 3 * std::uint64_t{bytes}, [&] {
    launch("triad", triad_kernel, blocks_of(bytes), stream.get(),
           static_cast<const float4*>(b.data()), static_cast<const float4*>(c.data()), 0.5F,
           static_cast<float4*>(a.data()));
  });
}

Pattern memory_pattern(int gpu, std::uint64_t most_bytes, const Budget& budget) {
  cuda::use(gpu);
  const std::vector<Chunk> chunks =
      take_memory(most_bytes == 0 ? ~std::size_t{0} : static_cast<std::size_t>(most_bytes));
  // Small and last: take_memory() left room for it.
  const GpuMemory counter(sizeof(unsigned long long));
  auto* mismatches = static_cast<unsigned long long*>(counter.data());
  const OwnStream stream;
  check(cudaMemsetAsync(mismatches, 0, sizeof(unsigned long long), stream.get()),
        "clear a counter");
  Pattern result;
  for (const Chunk& chunk : chunks)
    result.bytes += chunk.bytes;
  const Clock::time_point began = Clock::now();
  do {
    const unsigned long long seed = static_cast<unsigned long long>(result.rounds) << 40U;
    pass(stream, chunks, seed, 0, mismatches, budget);
    pass(stream, chunks, seed, ~0ULL, mismatches, budget);
    ++result.rounds;
  } while (result.rounds < budget.most && Clock::now() - began < budget.time);
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  result.rate = 4.0 * static_cast<double>(result.bytes) * result.rounds / seconds;
  unsigned long long wrong = 0;
  check(cudaMemcpyAsync(&wrong, mismatches, sizeof wrong, cudaMemcpyDeviceToHost, stream.get()),
        "read a counter");
  stream.wait();
  result.mismatches = wrong;
  return result;
}

} // namespace mlp::kernels::preflight
