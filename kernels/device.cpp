// What every device shares: element types and the arithmetic of windows.
#include "kernels/device.hpp"

namespace mlp::kernels {

std::size_t size_of(DType dtype) noexcept {
  switch (dtype) {
  case DType::u8:
  case DType::boolean:
    return 1;
  case DType::bf16:
    return 2;
  case DType::f32:
  case DType::i32:
    return 4;
  case DType::i64:
    return 8;
  }
  return 0;
}

const char* name_of(DType dtype) noexcept {
  switch (dtype) {
  case DType::f32:
    return "f32";
  case DType::bf16:
    return "bf16";
  case DType::u8:
    return "u8";
  case DType::i32:
    return "i32";
  case DType::i64:
    return "i64";
  case DType::boolean:
    return "boolean";
  }
  return "?";
}

std::int64_t output_size(const Window& window, int axis, std::int64_t in, bool ceil) {
  const std::int64_t reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
  const std::int64_t room = in + window.pad_begin[axis] + window.pad_end[axis] - reach;
  const std::int64_t stride = window.stride[axis];
  if (room < 0) return 0;
  std::int64_t out = room / stride + 1;
  // A window that starts in the end pad sees no cell of the input.
  if (ceil && room % stride != 0 && out * stride < in + window.pad_begin[axis]) ++out;
  return out;
}

} // namespace mlp::kernels
