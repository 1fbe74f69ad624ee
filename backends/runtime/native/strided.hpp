// Copies a view of a tensor that is described by strides: transpose, slice, expand and split are
// all this.
#pragma once

#include "backends/runtime/native/value.hpp"

#include <array>
#include <cstdint>

namespace mlp::native {

using Strides = std::array<std::int64_t, kMaxRank>;

// Of a dense tensor of this shape, in elements.
[[nodiscard]] Strides dense_strides(const Dims& dims) noexcept;

// out[i, j, ...] = in[first + i * strides[0] + j * strides[1] + ...]. `out` is allocated and of the
// same type; every element named must lie inside of `in`.
void copy_strided(const Value& in, std::int64_t first, const Strides& strides, Value& out);

// Copies `in` into a part of `out`: the inverse direction, for concatenation.
// out[first + i * strides[0] + ...] = in[i, j, ...].
void scatter_strided(const Value& in, std::int64_t first, const Strides& strides, Value& out);

// A dense copy of `in` broadcast to `dims` (one direction only); `in` itself if it has that shape.
// Throws Error(failed) naming both shapes if it does not fit.
[[nodiscard]] Value broadcast_to(const Value& in, const Dims& dims, Memory& memory);

} // namespace mlp::native
