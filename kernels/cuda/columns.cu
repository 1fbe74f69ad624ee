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
        const float* at = x + row * g.cols + column;
        if constexpr (V == 4) {
          const float4 all = *reinterpret_cast<const float4*>(at);
          sums[0][0] += all.x;
          sums[0][1] += all.y;
          sums[0][2] += all.z;
          sums[0][3] += all.w;
        } else {
          sums[0][0] += *at;
        }
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
