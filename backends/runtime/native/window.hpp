// The window of Conv and the pooling operators: attributes as ONNX gives them, and what they come
// to for an input of a given size.
#pragma once

#include "backends/runtime/native/operators.hpp"
#include "kernels/device.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mlp::native {

struct WindowAttributes {
  std::vector<std::int64_t> kernel, strides, dilations, pads; // empty: not given
  std::string auto_pad;
  bool ceil = false;
};

// Reads kernel_shape, strides, dilations, pads, auto_pad. Throws Error(config) for a value that is
// negative (or 0, but for pads) or above 2^30.
[[nodiscard]] WindowAttributes read_window(const NodeSpec& spec);

struct PlacedWindow {
  kernels::Window window;
  std::int64_t in[kernels::kMaxSpatial] = {1, 1, 1};
  std::int64_t out[kernels::kMaxSpatial] = {1, 1, 1};
};

// `in`: the spatial dimensions; `kernel`: used where the attributes give none. Throws Error(failed)
// for more than three axes, attributes of another number of axes, or a window that does not fit.
[[nodiscard]] PlacedWindow place_window(const WindowAttributes& attributes,
                                        std::span<const std::int64_t> in,
                                        std::span<const std::int64_t> kernel);

} // namespace mlp::native
