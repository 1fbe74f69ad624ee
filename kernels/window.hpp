// The arithmetic of windows that every device shares: which cells a window covers at a position.
#pragma once

#include "kernels/device.hpp"

#include <algorithm>

namespace mlp::kernels {

// One axis of a window at one position: the cells [begin, end) in steps of `step`, and how many
// cells count for an average with padding.
struct Span {
  std::int64_t begin, end, step, with_padding;
};

// How many steps reach over `length` cells; a division is slow where there are no holes.
constexpr std::int64_t steps_over(std::int64_t length, std::int64_t step) noexcept {
  return step == 1 ? length : (length + step - 1) / step;
}

constexpr Span span_of(const Window& w, int axis, std::int64_t in, std::int64_t at) noexcept {
  const std::int64_t step = w.dilation[axis];
  std::int64_t begin = at * w.stride[axis] - w.pad_begin[axis];
  const std::int64_t reach = begin + step * w.kernel[axis];
  // A window that hangs over the end pad has fewer cells.
  const std::int64_t padded_end = std::min(reach, in + w.pad_end[axis]);
  const std::int64_t with_padding = padded_end > begin ? steps_over(padded_end - begin, step) : 0;
  if (begin < 0) begin += steps_over(-begin, step) * step;
  return {begin, std::min(reach, in), step, with_padding};
}

// Fewer axes than three are three whose first ones have one cell.
constexpr PoolSpec as_three_axes(const PoolSpec& spec) noexcept {
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

} // namespace mlp::kernels
