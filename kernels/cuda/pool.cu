// Max and average pooling over 1 to 3 axes, an output a thread; the reference is cpu/pool.cpp.
#include "kernels/cuda/launch.cuh"
#include "kernels/window.hpp"

#include <cfloat>

namespace mlp::kernels::cuda {

namespace {

__global__ void __launch_bounds__(kBlock)
    pool_kernel(std::int64_t size, PoolSpec s, const float* __restrict__ x, float* __restrict__ y) {
  for (std::int64_t at = thread_index(); at < size; at += thread_count()) {
    const std::int64_t line = quotient(at, s.out[2]);
    const std::int64_t sheet = quotient(line, s.out[1]);
    const std::int64_t plane = quotient(sheet, s.out[0]);
    const Span a = span_of(s.window, 0, s.in[0], sheet - plane * s.out[0]);
    const Span b = span_of(s.window, 1, s.in[1], line - sheet * s.out[1]);
    const Span c = span_of(s.window, 2, s.in[2], at - line * s.out[2]);
    const float* in = x + plane * s.in[0] * s.in[1] * s.in[2];
    float best = -FLT_MAX;
    float sum = 0.0F;
    std::int64_t count = 0;
    for (std::int64_t i = a.begin; i < a.end; i += a.step)
      for (std::int64_t j = b.begin; j < b.end; j += b.step) {
        const float* cells = in + (i * s.in[1] + j) * s.in[2];
        for (std::int64_t k = c.begin; k < c.end; k += c.step) {
          const float value = cells[k];
          if (s.kind == Pool::max)
            best = value > best || value != value ? value : best;
          else
            sum += value;
          ++count;
        }
      }
    if (s.kind == Pool::average_with_padding)
      count = a.with_padding * b.with_padding * c.with_padding;
    if (s.kind == Pool::max)
      y[at] = best;
    else
      y[at] = count == 0 ? 0.0F : sum / static_cast<float>(count);
  }
}

} // namespace

void pool_forward(const Queue& q, const PoolSpec& spec, const float* x, float* y) {
  const PoolSpec s = as_three_axes(spec);
  const std::int64_t size = s.batch * s.channels * s.out[0] * s.out[1] * s.out[2];
  launch("queue a pooling", pool_kernel, blocks_for(q, size), q, size, s, x, y);
}

} // namespace mlp::kernels::cuda
