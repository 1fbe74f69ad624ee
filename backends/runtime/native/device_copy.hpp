// Tensors that move on an accelerator: strided.hpp's copies there. They take all types but strings.
#pragma once

#include "backends/runtime/native/strided.hpp"
#include "kernels/device.hpp"

namespace mlp::native {

// out[i, j, ...] = in[first + i * strides[0] + j * strides[1] + ...] for all indices of `dims`.
// `out` has as many elements and takes them densely; a stride of 0 repeats.
void copy_on_device(kernels::Device& device, kernels::Stream stream, const Dims& dims,
                    const Value& in, std::int64_t first, const Strides& strides, const Value& out);

// The inverse direction: out[first + i * strides[0] + ...] = in[i, j, ...].
void place_on_device(kernels::Device& device, kernels::Stream stream, const Value& in,
                     std::int64_t first, const Strides& strides, const Value& out);

// Both directions at once: out[to + i * ...] = in[from + i * ...] for all indices of `dims`, each
// with the strides of its own dense shape, which has as many axes.
void copy_part_on_device(kernels::Device& device, kernels::Stream stream, const Dims& dims,
                         const Value& in, std::int64_t from, const Value& out, std::int64_t to);

// `in` broadcast to out's shape. Throws Error(failed) naming both shapes if it does not fit.
void expand_on_device(kernels::Device& device, kernels::Stream stream, const Value& in,
                      const Value& out);

// The strides of `in` under the shape that it is broadcast to, which it fits.
[[nodiscard]] Strides broadcast_strides(const Dims& in, const Dims& dims) noexcept;

} // namespace mlp::native
