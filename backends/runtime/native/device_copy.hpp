// Float tensors that move on an accelerator: strided.hpp's copies as expressions of one step.
#pragma once

#include "backends/runtime/native/strided.hpp"
#include "kernels/device.hpp"

namespace mlp::native {

// out[i, j, ...] = from[i * strides[0] + j * strides[1] + ...] for all indices of `dims`. `out` has
// as many elements and takes them densely; a stride of 0 repeats.
void copy_on_device(kernels::Device& device, kernels::Stream stream, const Dims& dims,
                    const float* from, const Strides& strides, const Value& out);

// The inverse direction: out[first + i * strides[0] + ...] = in[i, j, ...].
void place_on_device(kernels::Device& device, kernels::Stream stream, const Value& in,
                     std::int64_t first, const Strides& strides, const Value& out);

// `in` broadcast to out's shape. Throws Error(failed) naming both shapes if it does not fit.
void expand_on_device(kernels::Device& device, kernels::Stream stream, const Value& in,
                      const Value& out);

// The strides of `in` under the shape that it is broadcast to, which it fits.
[[nodiscard]] Strides broadcast_strides(const Dims& in, const Dims& dims) noexcept;

} // namespace mlp::native
