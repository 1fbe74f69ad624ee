// Pooling that is trained, channels last: loops over the channels of a cell, which vectorise.
// Backward asks for each input cell which windows hold it, so that every cell is written once.
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/ops.hpp"
#include "kernels/window.hpp"

#include <algorithm>
#include <limits>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 14; // cells visited that are worth a thread

// The channels of one cell, for the window that it is in.
MLP_INLINE void first_body(std::int64_t channels, std::int32_t position, const float* __restrict in,
                           float* __restrict out, std::int32_t* __restrict index) {
  for (std::int64_t c = 0; c < channels; ++c)
    out[c] = in[c];
  if (index == nullptr) return;
  for (std::int64_t c = 0; c < channels; ++c)
    index[c] = position;
}
MLP_INLINE void larger_body(std::int64_t channels, std::int32_t position,
                            const float* __restrict in, float* __restrict out,
                            std::int32_t* __restrict index) {
  for (std::int64_t c = 0; c < channels; ++c) {
    const float best = out[c];
    const float value = in[c];
    // Not "no larger", so that NaN wins; of two the first.
    const bool better = !(value <= best) & (best == best);
    out[c] = better ? value : best;
    index[c] = better ? position : index[c];
  }
}
MLP_INLINE void add_body(std::int64_t channels, const float* __restrict in, float* __restrict out) {
  for (std::int64_t c = 0; c < channels; ++c)
    out[c] += in[c];
}
MLP_INLINE void chosen_body(std::int64_t channels, std::int32_t position,
                            const float* __restrict dy, const std::int32_t* __restrict index,
                            float* __restrict dx) {
  for (std::int64_t c = 0; c < channels; ++c)
    dx[c] += index[c] == position ? dy[c] : 0.0F;
}
MLP_INLINE void add_part_body(std::int64_t channels, float part, const float* __restrict dy,
                              float* __restrict dx) {
  for (std::int64_t c = 0; c < channels; ++c)
    dx[c] += dy[c] * part;
}

// An output line: windows at z and y, one for each position of the last axis.
MLP_INLINE void forward_line_body(const PoolSpec& s, const float* image, const Span& z,
                                  const Span& y, float* out, std::int32_t* index) {
  const std::int64_t channels = s.channels;
  const bool is_max = s.kind == Pool::max;
  for (std::int64_t at = 0; at < s.out[2]; ++at, out += channels) {
    const Span x = span_of(s.window, 2, s.in[2], at);
    std::int64_t count = 0;
    for (std::int64_t i = z.begin; i < z.end; i += z.step)
      for (std::int64_t j = y.begin; j < y.end; j += y.step)
        for (std::int64_t k = x.begin; k < x.end; k += x.step, ++count) {
          const std::int64_t cell = (i * s.in[1] + j) * s.in[2] + k;
          const auto position = static_cast<std::int32_t>(cell);
          const float* in = image + cell * channels;
          if (count == 0)
            first_body(channels, position, in, out, is_max ? index : nullptr);
          else if (is_max)
            larger_body(channels, position, in, out, index);
          else
            add_body(channels, in, out);
        }
    if (is_max) {
      if (count == 0) {
        std::fill_n(out, channels, std::numeric_limits<float>::lowest());
        std::fill_n(index, channels, -1);
      }
      index += channels;
      continue;
    }
    const std::int64_t divisor =
        s.kind == Pool::average ? count : z.with_padding * y.with_padding * x.with_padding;
    if (count == 0) std::fill_n(out, channels, 0.0F);
    if (divisor > 1)
      for (std::int64_t c = 0; c < channels; ++c)
        out[c] /= static_cast<float>(divisor);
  }
}
MLP_KERNEL(forward_line,
           (const PoolSpec& s, const float* image, const Span& z, const Span& y, float* out,
            std::int32_t* index),
           (s, image, z, y, out, index))

// The windows [begin, end) that may hold a cell, along an axis.
struct Windows {
  std::int64_t begin, end;
};
MLP_INLINE Windows windows_of(const PoolSpec& s, int axis, std::int64_t cell) {
  const Window& w = s.window;
  const std::int64_t at = cell + w.pad_begin[axis];
  const std::int64_t before = at - w.dilation[axis] * (w.kernel[axis] - 1);
  return {before <= 0 ? 0 : steps_over(before, w.stride[axis]),
          std::min(s.out[axis], at / w.stride[axis] + 1)};
}
// A window with holes may not.
MLP_INLINE bool holds(const Window& w, int axis, std::int64_t window, std::int64_t cell) {
  return w.dilation[axis] == 1 ||
         (cell + w.pad_begin[axis] - window * w.stride[axis]) % w.dilation[axis] == 0;
}
// What a window adds along an axis to the number that an average is divided by.
MLP_INLINE std::int64_t cells_of(const PoolSpec& s, int axis, std::int64_t window) {
  const Span span = span_of(s.window, axis, s.in[axis], window);
  return s.kind == Pool::average_with_padding
             ? span.with_padding
             : steps_over(std::max<std::int64_t>(span.end - span.begin, 0), span.step);
}

// A line of input cells, at i and j of the first axes; dy and index are of its image.
MLP_INLINE void backward_line_body(const PoolSpec& s, const float* dy, const std::int32_t* index,
                                   std::int64_t i, std::int64_t j, float* dx) {
  const std::int64_t channels = s.channels;
  const Windows z = windows_of(s, 0, i);
  const Windows y = windows_of(s, 1, j);
  for (std::int64_t k = 0; k < s.in[2]; ++k, dx += channels) {
    const Windows x = windows_of(s, 2, k);
    const auto position = static_cast<std::int32_t>((i * s.in[1] + j) * s.in[2] + k);
    std::fill_n(dx, channels, 0.0F);
    for (std::int64_t a = z.begin; a < z.end; ++a) {
      if (!holds(s.window, 0, a, i)) continue;
      for (std::int64_t b = y.begin; b < y.end; ++b) {
        if (!holds(s.window, 1, b, j)) continue;
        for (std::int64_t e = x.begin; e < x.end; ++e) {
          if (!holds(s.window, 2, e, k)) continue;
          const std::int64_t from = ((a * s.out[1] + b) * s.out[2] + e) * channels;
          if (s.kind == Pool::max) {
            chosen_body(channels, position, dy + from, index + from, dx);
          } else {
            const std::int64_t count = cells_of(s, 0, a) * cells_of(s, 1, b) * cells_of(s, 2, e);
            const float part = 1.0F / static_cast<float>(count);
            add_part_body(channels, part, dy + from, dx);
          }
        }
      }
    }
  }
}
MLP_KERNEL(backward_line,
           (const PoolSpec& s, const float* dy, const std::int32_t* index, std::int64_t i,
            std::int64_t j, float* dx),
           (s, dy, index, i, j, dx))

} // namespace

void pool_training(ThreadPool& pool, const PoolSpec& spec, const float* x, float* y,
                   std::int32_t* index) {
  const PoolSpec s = as_three_axes(spec);
  const std::int64_t image = s.in[0] * s.in[1] * s.in[2] * s.channels;
  const std::int64_t line = s.out[2] * s.channels;
  const std::int64_t work =
      line * s.window.kernel[0] * s.window.kernel[1] * s.window.kernel[2]; // of a line
  pool.split(s.batch * s.out[0] * s.out[1], 1, kLeast / std::max<std::int64_t>(work, 1) + 1,
             [&](std::int64_t begin, std::int64_t end) {
               for (std::int64_t at = begin; at < end; ++at) {
                 const std::int64_t sheet = at / s.out[1];
                 const std::int64_t n = sheet / s.out[0];
                 forward_line(s, x + n * image, span_of(s.window, 0, s.in[0], sheet - n * s.out[0]),
                              span_of(s.window, 1, s.in[1], at - sheet * s.out[1]), y + at * line,
                              index == nullptr ? nullptr : index + at * line);
               }
             });
}

void pool_backward(ThreadPool& pool, const PoolSpec& spec, const float* dy,
                   const std::int32_t* index, float* dx) {
  const PoolSpec s = as_three_axes(spec);
  const std::int64_t image = s.out[0] * s.out[1] * s.out[2] * s.channels;
  const std::int64_t line = s.in[2] * s.channels;
  pool.split(s.batch * s.in[0] * s.in[1], 1, kLeast / std::max<std::int64_t>(line, 1) + 1,
             [&](std::int64_t begin, std::int64_t end) {
               for (std::int64_t at = begin; at < end; ++at) {
                 const std::int64_t sheet = at / s.in[1];
                 const std::int64_t n = sheet / s.in[0];
                 backward_line(s, dy + n * image, index == nullptr ? nullptr : index + n * image,
                               sheet - n * s.in[0], at - sheet * s.in[1], dx + at * line);
               }
             });
}

} // namespace mlp::kernels::cpu
