// Max and average pooling over 1 to 3 axes; a plane (one image, one channel) at a time.
#include "kernels/cpu/ops.hpp"

#include <array>
#include <limits>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 14; // cells visited that are worth a thread

// One axis of a window at one position: the cells [begin, end) in steps of `step`, and how many
// cells count for an average with padding.
struct Span {
  std::int64_t begin, end, step, with_padding;
};

Span span_of(const Window& w, int axis, std::int64_t in, std::int64_t at) noexcept {
  const std::int64_t step = w.dilation[axis];
  std::int64_t begin = at * w.stride[axis] - w.pad_begin[axis];
  const std::int64_t reach = begin + step * w.kernel[axis];
  // A window that hangs over the end pad has fewer cells.
  const std::int64_t padded_end = std::min(reach, in + w.pad_end[axis]);
  const std::int64_t with_padding = padded_end > begin ? (padded_end - begin + step - 1) / step : 0;
  if (begin < 0) begin += (-begin + step - 1) / step * step;
  return {begin, std::min(reach, in), step, with_padding};
}

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

// Fewer axes than three are three whose first ones have one cell.
PoolSpec as_three_axes(const PoolSpec& spec) noexcept {
  PoolSpec full = spec;
  full.window = Window{};
  full.window.rank = kMaxSpatial;
  const int skip = kMaxSpatial - spec.window.rank;
  for (int axis = 0; axis < kMaxSpatial; ++axis) {
    if (axis < skip) {
      full.in[axis] = full.out[axis] = 1;
      continue;
    }
    const int from = axis - skip;
    full.in[axis] = spec.in[from];
    full.out[axis] = spec.out[from];
    full.window.kernel[axis] = spec.window.kernel[from];
    full.window.stride[axis] = spec.window.stride[from];
    full.window.dilation[axis] = spec.window.dilation[from];
    full.window.pad_begin[axis] = spec.window.pad_begin[from];
    full.window.pad_end[axis] = spec.window.pad_end[from];
  }
  return full;
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
                     for (std::int64_t k = 0; k < s.out[2]; ++k)
                       *out++ = pool_cell(s.kind, in, s.in, a, b, span_of(s.window, 2, s.in[2], k));
                   }
                 }
               }
             });
}

} // namespace mlp::kernels::cpu
