// Max and average pooling over 1 to 3 axes; a plane (one image, one channel) at a time.
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/ops.hpp"
#include "kernels/window.hpp"

#include <algorithm>
#include <limits>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 14; // cells visited that are worth a thread
constexpr std::int64_t kLine = 4;        // outputs that are worth doing as a line

float pool_cell(Pool kind, const float* plane, const std::int64_t (&in)[kMaxSpatial], const Span& z,
                const Span& y, const Span& x) noexcept {
  float best = std::numeric_limits<float>::lowest();
  double sum = 0.0;
  std::int64_t count = 0;
  for (std::int64_t i = z.begin; i < z.end; i += z.step)
    for (std::int64_t j = y.begin; j < y.end; j += y.step) {
      const float* line = plane + (i * in[1] + j) * in[2];
      for (std::int64_t k = x.begin; k < x.end; k += x.step) {
        const float value = line[k];
        if (kind == Pool::max)
          best = value > best || value != value ? value : best;
        else
          sum += static_cast<double>(value);
        ++count;
      }
    }
  if (kind == Pool::max) return best;
  if (kind == Pool::average_with_padding) count = z.with_padding * y.with_padding * x.with_padding;
  return count == 0 ? 0.0F : static_cast<float>(sum / static_cast<double>(count));
}

// One line of outputs at once, a tap of the window after the other: the inner loop runs over the
// outputs that the tap has a cell for, and vectorises where the stride is 1.
MLP_INLINE void max_tap_body(std::int64_t n, std::int64_t stride, const float* __restrict in,
                             float* __restrict out) {
  if (stride == 1) {
    for (std::int64_t k = 0; k < n; ++k)
      out[k] = in[k] > out[k] || in[k] != in[k] ? in[k] : out[k];
  } else {
    for (std::int64_t k = 0; k < n; ++k)
      out[k] =
          in[k * stride] > out[k] || in[k * stride] != in[k * stride] ? in[k * stride] : out[k];
  }
}
MLP_INLINE void sum_tap_body(std::int64_t n, std::int64_t stride, const float* __restrict in,
                             float* __restrict out) {
  if (stride == 1) {
    for (std::int64_t k = 0; k < n; ++k)
      out[k] += in[k];
  } else {
    for (std::int64_t k = 0; k < n; ++k)
      out[k] += in[k * stride];
  }
}
MLP_KERNEL(max_tap, (std::int64_t n, std::int64_t stride, const float* in, float* out),
           (n, stride, in, out))
MLP_KERNEL(sum_tap, (std::int64_t n, std::int64_t stride, const float* in, float* out),
           (n, stride, in, out))

void pool_line(const PoolSpec& s, const float* plane, const Span& z, const Span& y, float* out) {
  const std::int64_t width = s.out[2];
  const std::int64_t stride = s.window.stride[2];
  std::fill_n(out, width, s.kind == Pool::max ? std::numeric_limits<float>::lowest() : 0.0F);
  for (std::int64_t i = z.begin; i < z.end; i += z.step)
    for (std::int64_t j = y.begin; j < y.end; j += y.step)
      for (std::int64_t tap = 0; tap < s.window.kernel[2]; ++tap) {
        // Output k sees cell k * stride + first.
        const std::int64_t first = tap * s.window.dilation[2] - s.window.pad_begin[2];
        const std::int64_t begin = first >= 0 ? 0 : (-first + stride - 1) / stride;
        if (first >= s.in[2]) continue;
        const std::int64_t end = std::min(width, (s.in[2] - 1 - first) / stride + 1);
        if (begin >= end) continue;
        const float* cells = plane + (i * s.in[1] + j) * s.in[2] + begin * stride + first;
        if (s.kind == Pool::max)
          max_tap(end - begin, stride, cells, out + begin);
        else
          sum_tap(end - begin, stride, cells, out + begin);
      }
  if (s.kind == Pool::max) return;
  const auto cells_of = [](const Span& a) {
    return a.begin < a.end ? (a.end - a.begin + a.step - 1) / a.step : 0;
  };
  for (std::int64_t k = 0; k < width; ++k) {
    const Span x = span_of(s.window, 2, s.in[2], k);
    const std::int64_t count = s.kind == Pool::average
                                   ? cells_of(z) * cells_of(y) * cells_of(x)
                                   : z.with_padding * y.with_padding * x.with_padding;
    out[k] = count == 0 ? 0.0F : out[k] / static_cast<float>(count);
  }
}

} // namespace

void pool_forward(ThreadPool& pool, const PoolSpec& spec, const float* x, float* y) {
  const PoolSpec s = as_three_axes(spec);
  const std::int64_t in_size = s.in[0] * s.in[1] * s.in[2];
  const std::int64_t out_size = s.out[0] * s.out[1] * s.out[2];
  const std::int64_t work = out_size * s.window.kernel[0] * s.window.kernel[1] * s.window.kernel[2];
  pool.split(s.batch * s.channels, 1, kLeast / std::max<std::int64_t>(work, 1) + 1,
             [&](std::int64_t begin, std::int64_t end) {
               for (std::int64_t plane = begin; plane < end; ++plane) {
                 const float* in = x + plane * in_size;
                 float* out = y + plane * out_size;
                 for (std::int64_t i = 0; i < s.out[0]; ++i) {
                   const Span a = span_of(s.window, 0, s.in[0], i);
                   for (std::int64_t j = 0; j < s.out[1]; ++j) {
                     const Span b = span_of(s.window, 1, s.in[1], j);
                     if (s.out[2] >= kLine) {
                       pool_line(s, in, a, b, out);
                       out += s.out[2];
                       continue;
                     }
                     for (std::int64_t k = 0; k < s.out[2]; ++k)
                       *out++ = pool_cell(s.kind, in, s.in, a, b, span_of(s.window, 2, s.in[2], k));
                   }
                 }
               }
             });
}

} // namespace mlp::kernels::cpu
