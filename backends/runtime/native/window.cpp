// Attributes to numbers; SAME_* pads follow from the input's size.
#include "backends/runtime/native/window.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::native {

namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 30;

std::vector<std::int64_t> read_list(const NodeSpec& spec, std::string_view name,
                                    std::int64_t least) {
  const auto list = spec.integers(name).value_or(std::vector<std::int64_t>());
  for (const std::int64_t value : list)
    if (value < least || value > kLargest)
      throw Error(ErrorKind::config, fmt::format("attribute '{}' has a value of {}", name, value));
  return list;
}

void expect_axes(const std::vector<std::int64_t>& list, std::size_t count, const char* name) {
  if (!list.empty() && list.size() != count)
    throw Error(ErrorKind::failed,
                fmt::format("attribute '{}' has {} values, not {}", name, list.size(), count));
}

// The pads that make the result ceil(in / stride) long.
void pad_same(kernels::Window& window, int axis, std::int64_t in, bool upper) {
  const std::int64_t out = (in + window.stride[axis] - 1) / window.stride[axis];
  const std::int64_t reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
  const std::int64_t total =
      std::max<std::int64_t>((out - 1) * window.stride[axis] + reach - in, 0);
  window.pad_begin[axis] = upper ? total / 2 : (total + 1) / 2;
  window.pad_end[axis] = total - window.pad_begin[axis];
}

} // namespace

WindowAttributes read_window(const NodeSpec& spec) {
  WindowAttributes attributes;
  attributes.kernel = read_list(spec, "kernel_shape", 1);
  attributes.strides = read_list(spec, "strides", 1);
  attributes.pads = read_list(spec, "pads", 0);
  attributes.auto_pad = spec.text("auto_pad", "NOTSET");
  const std::string& pad = attributes.auto_pad;
  if (pad != "NOTSET" && pad != "VALID" && pad != "SAME_UPPER" && pad != "SAME_LOWER")
    throw Error(ErrorKind::config, fmt::format("attribute 'auto_pad' is '{}'", pad));
  attributes.dilations = read_list(spec, "dilations", 1);
  return attributes;
}

PlacedWindow place_window(const WindowAttributes& attributes, std::span<const std::int64_t> in,
                          std::span<const std::int64_t> kernel) {
  const std::size_t rank = in.size();
  if (rank < 1 || rank > static_cast<std::size_t>(kernels::kMaxSpatial))
    throw Error(ErrorKind::failed, fmt::format("a window over {} axes is not supported", rank));
  expect_axes(attributes.kernel, rank, "kernel_shape");
  expect_axes(attributes.strides, rank, "strides");
  expect_axes(attributes.dilations, rank, "dilations");
  expect_axes(attributes.pads, 2 * rank, "pads");
  if (attributes.kernel.empty() && kernel.size() != rank)
    throw Error(ErrorKind::failed, "the window's size is not known");
  PlacedWindow placed;
  placed.window.rank = static_cast<int>(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const int axis = static_cast<int>(i);
    kernels::Window& w = placed.window;
    if (in[i] > kLargest)
      throw Error(ErrorKind::failed, fmt::format("an axis of {} is too long", in[i]));
    placed.in[i] = in[i];
    w.kernel[i] = attributes.kernel.empty() ? kernel[i] : attributes.kernel[i];
    if (!attributes.strides.empty()) w.stride[i] = attributes.strides[i];
    if (!attributes.dilations.empty()) w.dilation[i] = attributes.dilations[i];
    if (attributes.auto_pad == "NOTSET" && !attributes.pads.empty()) {
      w.pad_begin[i] = attributes.pads[i];
      w.pad_end[i] = attributes.pads[i + rank];
    } else if (attributes.auto_pad.starts_with("SAME")) {
      pad_same(w, axis, in[i], attributes.auto_pad == "SAME_UPPER");
    }
    placed.out[i] = w.kernel[i] > 0 ? kernels::output_size(w, axis, in[i], attributes.ceil) : 0;
    if (placed.out[i] <= 0)
      throw Error(ErrorKind::failed,
                  fmt::format("a window of {} does not fit an axis of {}", w.kernel[i], in[i]));
  }
  return placed;
}

} // namespace mlp::native
