// Strides on the side of the source, of the result, or of both.
#include "backends/runtime/native/device_copy.hpp"

#include "backends/runtime/native/broadcast.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::native {

namespace {

static_assert(kernels::kMaxAxes >= kMaxRank);

struct Side {
  const Value& value;
  std::int64_t first = 0;
  const Strides& strides;
};

void* address_of(const Side& side) {
  return static_cast<char*>(side.value.address) +
         side.first * static_cast<std::int64_t>(type_size(side.value.type));
}

void copy(kernels::Device& device, kernels::Stream stream, const Dims& dims, const Side& from,
          const Side& to) {
  kernels::CopySpec spec;
  spec.rank = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), spec.shape);
  std::copy_n(from.strides.begin(), dims.size(), spec.in);
  std::copy_n(to.strides.begin(), dims.size(), spec.out);
  spec.element = type_size(from.value.type);
  device.copy(stream, spec, address_of(from), address_of(to));
}

} // namespace

void copy_on_device(kernels::Device& device, kernels::Stream stream, const Dims& dims,
                    const Value& in, std::int64_t first, const Strides& strides, const Value& out) {
  copy(device, stream, dims, {in, first, strides}, {out, 0, dense_strides(dims)});
}

void place_on_device(kernels::Device& device, kernels::Stream stream, const Value& in,
                     std::int64_t first, const Strides& strides, const Value& out) {
  copy(device, stream, in.dims, {in, 0, dense_strides(in.dims)}, {out, first, strides});
}

void copy_part_on_device(kernels::Device& device, kernels::Stream stream, const Dims& dims,
                         const Value& in, std::int64_t from, const Value& out, std::int64_t to) {
  copy(device, stream, dims, {in, from, dense_strides(in.dims)},
       {out, to, dense_strides(out.dims)});
}

void expand_on_device(kernels::Device& device, kernels::Stream stream, const Value& in,
                      const Value& out) {
  if (!(broadcast_shape(in.dims, out.dims) == out.dims))
    throw Error(ErrorKind::failed, fmt::format("shape {} does not broadcast to {}",
                                               to_string(in.dims), to_string(out.dims)));
  copy_on_device(device, stream, out.dims, in, 0, broadcast_strides(in.dims, out.dims), out);
}

Strides broadcast_strides(const Dims& in, const Dims& dims) noexcept {
  const Strides dense = dense_strides(in);
  const std::size_t missing = dims.size() - in.size();
  Strides strides{};
  for (std::size_t axis = 0; axis < in.size(); ++axis)
    strides[missing + axis] = in[axis] == 1 ? 0 : dense[axis];
  return strides;
}

} // namespace mlp::native
