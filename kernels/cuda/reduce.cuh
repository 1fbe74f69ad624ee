// Sums whose order is fixed: over a warp, over a block, and over all blocks of a kernel. Blocks
// write partial sums; the last one to finish adds them up in order, so that no float is added by an
// atomic and the same inputs give the same bits.
#pragma once

#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

// Over groups of `lanes` neighbouring lanes, a power of two; every lane gets the result. All lanes
// of the warp have to take part.
template <int lanes, class T>
__device__ __forceinline__ T group_sum(T value) {
#pragma unroll
  for (int distance = lanes / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}
template <int lanes>
__device__ __forceinline__ float group_max(float value) {
#pragma unroll
  for (int distance = lanes / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}
template <int lanes>
__device__ __forceinline__ int group_min(int value) {
#pragma unroll
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    const int other = __shfl_xor_sync(kAllLanes, value, distance);
    value = other < value ? other : value;
  }
  return value;
}

// True in every thread of the block that is the last of `blocks` to get here; what the other blocks
// have written before is then visible. The counter is back at 0 afterwards. One thread's fences
// stand for its block's: a barrier before and after makes them cumulative, as in a grid barrier of
// cooperative groups (PTX ISA, "Memory Consistency Model").
__device__ __forceinline__ bool is_last_block(unsigned* ticket, unsigned blocks) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicInc(ticket, blocks - 1) == blocks - 1;
    __threadfence();
  }
  __syncthreads();
  return last;
}

// Adds N numbers of every thread of the block; thread 0 gets the sums.
template <int N>
__device__ __forceinline__ void block_sum(double (&values)[N]) {
  __shared__ double of_warp[kWarps][N];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
#pragma unroll
  for (int n = 0; n < N; ++n)
    values[n] = group_sum<kWarp>(values[n]);
  __syncthreads(); // of_warp may still be read from the call before
  if (threadIdx.x % kWarp == 0)
    for (int n = 0; n < N; ++n)
      of_warp[warp][n] = values[n];
  __syncthreads();
  if (threadIdx.x == 0)
    for (int n = 0; n < N; ++n) {
      double sum = 0.0;
      for (int w = 0; w < kWarps; ++w)
        sum += of_warp[w][n];
      values[n] = sum;
    }
}

// Adds N numbers of every thread of the kernel (a grid of one dimension, gridDim.x * N <=
// kScratchSums); true in thread 0 of one block, which then has the sums.
template <int N>
__device__ __forceinline__ bool grid_sum(const Scratch& scratch, double (&values)[N]) {
  block_sum(values);
  if (gridDim.x > 1) {
    if (threadIdx.x == 0)
      for (int n = 0; n < N; ++n)
        scratch.sums[static_cast<std::int64_t>(blockIdx.x) * N + n] = values[n];
    if (!is_last_block(scratch.tickets, gridDim.x)) return false;
    for (int n = 0; n < N; ++n)
      values[n] = 0.0;
    for (unsigned b = threadIdx.x; b < gridDim.x; b += kBlock)
      for (int n = 0; n < N; ++n)
        values[n] += __ldcg(scratch.sums + static_cast<std::int64_t>(b) * N + n);
    block_sum(values);
  }
  return threadIdx.x == 0;
}

// Sums over rows, of every column: a block owns a tile of columns and a part of the rows.
struct ColumnGrid {
  std::int64_t rows = 0, cols = 0, rows_per_part = 0;
  unsigned tiles = 1, parts = 1;
  dim3 grid() const { return dim3(tiles, parts); }
};
// `vector` neighbouring columns a thread; `sums` numbers a column.
inline ColumnGrid column_grid(const Queue& q, std::int64_t rows, std::int64_t cols, int vector,
                              int sums) {
  const auto ceil_of = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t tiles = ceil_of(cols, std::int64_t{kWarp} * vector);
  std::int64_t parts = ceil_of(std::int64_t{4} * q.processors, tiles);
  const auto at_most = [&](std::int64_t most) { parts = parts < most ? parts : most; };
  at_most(ceil_of(rows, std::int64_t{4} * kWarps)); // four rows a warp are worth a block
  at_most(256);
  at_most(kScratchSums / (cols * sums));
  if (tiles > kScratchTickets) parts = 1;
  if (parts < 1) parts = 1;
  ColumnGrid g{.rows = rows, .cols = cols, .rows_per_part = ceil_of(rows, parts)};
  g.tiles = static_cast<unsigned>(tiles);
  // So that no part is empty: the rounding above may leave the last ones without rows.
  if (rows > 0) parts = ceil_of(rows, g.rows_per_part);
  g.parts = static_cast<unsigned>(parts);
  return g;
}

// What `merge` makes of each warp's value, the same in all threads of the block.
template <class T, class Merge>
__device__ __forceinline__ T merge_warps(T value, Merge merge) {
  __shared__ T of_warp[kWarps];
  __syncthreads(); // of_warp may still be read from the call before
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
  __syncthreads();
  T merged = of_warp[0];
#pragma unroll
  for (int w = 1; w < kWarps; ++w)
    merged = merge(merged, of_warp[w]);
  return merged;
}
// The sum over a block, the same in all threads.
__device__ __forceinline__ float block_total(float value) {
  return merge_warps(group_sum<kWarp>(value), [](float a, float b) { return a + b; });
}

// Adds what the warps of a block have summed: thread t < kWarp * V gets the sums of column t of the
// tile in total[]. Lane l of a warp holds columns l * V to l * V + V - 1.
template <int V, int N, class T>
__device__ __forceinline__ void over_warps(const T (&sums)[N][V], double (&total)[N]) {
  __shared__ double shared[kWarps][N][kWarp * V];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  __syncthreads(); // shared may still be read from the call before
#pragma unroll
  for (int n = 0; n < N; ++n)
#pragma unroll
    for (int v = 0; v < V; ++v)
      shared[warp][n][lane * V + v] = static_cast<double>(sums[n][v]);
  __syncthreads();
  if (static_cast<int>(threadIdx.x) < kWarp * V)
#pragma unroll
    for (int n = 0; n < N; ++n) {
      double sum = 0.0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w)
        sum += shared[w][n][threadIdx.x];
      total[n] = sum;
    }
}

// V neighbouring elements from i on; V = 4 needs 16 bytes' alignment there.
template <int V>
__device__ __forceinline__ void load_row(const float* p, std::int64_t i, float (&f)[V]) {
  static_assert(V == 1 || V == 4);
  if constexpr (V == 4) {
    const float4 all = *reinterpret_cast<const float4*>(p + i);
    f[0] = all.x;
    f[1] = all.y;
    f[2] = all.z;
    f[3] = all.w;
  } else {
    f[0] = p[i];
  }
}

// body(row, first column, T (&sums)[N][V]) adds one row's V columns; finish(column, total) gets the
// sums of a column, in one thread of the kernel. V > 1 needs cols to be a multiple of V.
template <int V, int N, class T, class Body, class Finish>
__device__ __forceinline__ void column_sums(const ColumnGrid& g, const Scratch& scratch,
                                            const Body& body, const Finish& finish) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t tile = static_cast<std::int64_t>(blockIdx.x) * kWarp * V;
  const std::int64_t mine = tile + static_cast<std::int64_t>(lane) * V;      // as a warp's lane
  const std::int64_t column = tile + static_cast<std::int64_t>(threadIdx.x); // in total[]
  const bool has_column = static_cast<int>(threadIdx.x) < kWarp * V && column < g.cols;

  T sums[N][V] = {};
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.y) * g.rows_per_part;
  const std::int64_t last = first + g.rows_per_part < g.rows ? first + g.rows_per_part : g.rows;
  if (mine < g.cols)
    for (std::int64_t row = first + warp; row < last; row += kWarps)
      body(row, mine, sums);
  double total[N] = {};
  over_warps(sums, total);

  if (g.parts > 1) {
    if (has_column)
      for (int n = 0; n < N; ++n)
        scratch.sums[(static_cast<std::int64_t>(n) * g.parts + blockIdx.y) * g.cols + column] =
            total[n];
    if (!is_last_block(scratch.tickets + blockIdx.x, g.parts)) return;
    double of_parts[N][V] = {};
    if (mine < g.cols)
      for (unsigned part = static_cast<unsigned>(warp); part < g.parts; part += kWarps)
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
          for (int v = 0; v < V; ++v)
            of_parts[n][v] += __ldcg(
                scratch.sums + (static_cast<std::int64_t>(n) * g.parts + part) * g.cols + mine + v);
    over_warps(of_parts, total);
  }
  if (has_column) finish(column, total);
}

} // namespace mlp::kernels::cuda
