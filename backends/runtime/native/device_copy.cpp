// One load, with strides on the side of the source or of the result.
#include "backends/runtime/native/device_copy.hpp"

#include "backends/runtime/native/broadcast.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::native {

namespace {

static_assert(kernels::kMaxAxes >= kMaxRank);

void copy(kernels::Device& device, kernels::Stream stream, const Dims& dims, const float* from,
          const Strides& in, float* to, const Strides& out) {
  kernels::ElementwiseSpec spec;
  spec.rank = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), spec.shape);
  std::copy_n(out.begin(), dims.size(), spec.out);
  std::copy_n(in.begin(), dims.size(), spec.input[0]);
  spec.inputs = 1;
  spec.count = 1;
  spec.step[0].b.from = kernels::ElementOperand::From::input;
  device.elementwise(stream, spec, &from, to);
}

} // namespace

void copy_on_device(kernels::Device& device, kernels::Stream stream, const Dims& dims,
                    const float* from, const Strides& strides, const Value& out) {
  copy(device, stream, dims, from, strides, static_cast<float*>(out.address), dense_strides(dims));
}

void place_on_device(kernels::Device& device, kernels::Stream stream, const Value& in,
                     std::int64_t first, const Strides& strides, const Value& out) {
  copy(device, stream, in.dims, in.data<float>(), dense_strides(in.dims),
       static_cast<float*>(out.address) + first, strides);
}

void expand_on_device(kernels::Device& device, kernels::Stream stream, const Value& in,
                      const Value& out) {
  if (!(broadcast_shape(in.dims, out.dims) == out.dims))
    throw Error(ErrorKind::failed, fmt::format("shape {} does not broadcast to {}",
                                               to_string(in.dims), to_string(out.dims)));
  copy_on_device(device, stream, out.dims, in.data<float>(), broadcast_strides(in.dims, out.dims),
                 out);
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
