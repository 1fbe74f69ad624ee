// Sums over rows; the reference is in cpu/gather.cpp.
#include "kernels/cuda/reduce.cuh"

namespace mlp::kernels::cuda {

namespace {

template <int V>
__global__ void __launch_bounds__(kBlock)
    sum_kernel(ColumnGrid g, Scratch scratch, const float* __restrict__ x, float* dst) {
  column_sums<V, 1, float>(
      g, scratch,
      [&](std::int64_t row, std::int64_t column, float(&sums)[1][V]) {
        float values[V];
        load_row(x, row * g.cols + column, values);
#pragma unroll
        for (int v = 0; v < V; ++v)
          sums[0][v] += values[v];
      },
      [&](std::int64_t column, const double(&total)[1]) {
        dst[column] = static_cast<float>(total[0]);
      });
}

} // namespace

void sum_rows(const Queue& q, std::int64_t rows, std::int64_t cols, const float* x, float* dst) {
  const bool vector = cols % 4 == 0 && aligned16(x);
  const ColumnGrid g = column_grid(q, rows, cols, vector ? 4 : 1, 1);
  launch("queue a sum over rows", vector ? sum_kernel<4> : sum_kernel<1>, g.grid(), q, g, q.scratch,
         x, dst);
}

} // namespace mlp::kernels::cuda
