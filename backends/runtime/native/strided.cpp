// Axes that follow each other in memory are merged first, so that the inner loop is as long as it
// can be; an inner stride of 1 is a block copy.
#include "backends/runtime/native/strided.hpp"

#include "backends/runtime/native/broadcast.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::native {

Strides dense_strides(const Dims& dims) noexcept {
  Strides strides{};
  for (std::size_t axis = 0; axis < dims.size(); ++axis)
    strides[axis] = dims.product(axis + 1, dims.size());
  return strides;
}

namespace {

// body(dense offset, strided offset, length, stride) for each inner row.
template <class Body>
void for_each_row(const Dims& dims, std::int64_t first, const Strides& strides, Body&& body) {
  std::array<std::int64_t, kMaxRank> length{};
  Strides step{};
  std::size_t rank = 0;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] == 1) continue;
    if (rank > 0 && step[rank - 1] == strides[axis] * dims[axis]) {
      length[rank - 1] *= dims[axis];
      step[rank - 1] = strides[axis];
    } else {
      length[rank] = dims[axis];
      step[rank++] = strides[axis];
    }
  }
  if (rank == 0) length[rank++] = 1;
  const std::int64_t count = dims.product(0, dims.size());
  const std::int64_t row = length[rank - 1];
  std::array<std::int64_t, kMaxRank> position{};
  std::int64_t offset = first;
  for (std::int64_t at = 0; at < count; at += row) {
    body(at, offset, row, step[rank - 1]);
    for (std::size_t axis = rank - 1; axis-- > 0;) {
      offset += step[axis];
      if (++position[axis] < length[axis]) break;
      offset -= step[axis] * length[axis];
      position[axis] = 0;
    }
  }
}

} // namespace

void copy_strided(const Value& in, std::int64_t first, const Strides& strides, Value& out) {
  if (out.count == 0) return;
  visit_width(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* source = in.data<T>();
    T* target = out.data<T>();
    for_each_row(out.dims, first, strides,
                 [&](std::int64_t at, std::int64_t from, std::int64_t n, std::int64_t stride) {
                   if (stride == 1)
                     std::copy_n(source + from, n, target + at);
                   else if (stride == 0)
                     std::fill_n(target + at, n, source[from]);
                   else
                     for (std::int64_t i = 0; i < n; ++i)
                       target[at + i] = source[from + i * stride];
                 });
  });
}

void scatter_strided(const Value& in, std::int64_t first, const Strides& strides, Value& out) {
  if (in.count == 0) return;
  visit_width(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* source = in.data<T>();
    T* target = out.data<T>();
    for_each_row(in.dims, first, strides,
                 [&](std::int64_t at, std::int64_t to, std::int64_t n, std::int64_t stride) {
                   if (stride == 1)
                     std::copy_n(source + at, n, target + to);
                   else
                     for (std::int64_t i = 0; i < n; ++i)
                       target[to + i * stride] = source[at + i];
                 });
  });
}

Value broadcast_to(const Value& in, const Dims& dims, Memory& memory) {
  if (in.dims == dims) return in;
  if (!(broadcast_shape(in.dims, dims) == dims))
    throw Error(ErrorKind::failed, fmt::format("shape {} cannot be broadcast to {}",
                                               to_string(in.dims), to_string(dims)));
  Value out = memory.allocate(in.type, dims);
  const Strides dense = dense_strides(in.dims);
  Strides strides{};
  const std::size_t shift = dims.size() - in.dims.size();
  for (std::size_t i = 0; i < in.dims.size(); ++i)
    strides[i + shift] = in.dims[i] == 1 ? 0 : dense[i];
  copy_strided(in, 0, strides, out);
  return out;
}

} // namespace mlp::native
