// Gather, GatherElements, GatherND, NonZero, Trilu, Compress: elements picked by index. An index
// out of range is an error, never a read outside of the tensor.
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "backends/runtime/native/strided.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

namespace mlp::native {

namespace {

std::int64_t place(std::int64_t index, std::int64_t size) {
  if (index < -size || index >= size)
    throw Error(ErrorKind::failed,
                fmt::format("index {} is outside of an axis of {}", index, size));
  return index < 0 ? index + size : index;
}

// Indices as int64, whichever of the two types they have.
Value wide_indices(const Value& indices, Memory& memory) {
  if (indices.type != Type::i64 && indices.type != Type::i32)
    throw Error(ErrorKind::failed,
                fmt::format("indices are {}, not int64 or int32", type_name(indices.type)));
  return cast_numbers(indices, Type::i64, memory);
}

// The result's shape: the axis becomes those of the indices.
Dims gathered_dims(const Value& in, const Value& indices, std::size_t axis) {
  Dims dims;
  for (std::size_t i = 0; i < axis; ++i)
    dims.push_back(in.dims[i]);
  for (const std::int64_t d : indices.dims.span())
    dims.push_back(d);
  for (std::size_t i = axis + 1; i < in.dims.size(); ++i)
    dims.push_back(in.dims[i]);
  return dims;
}

// An index out of range is told by call.fault() once the call is at its end.
void gather_on_device(kernels::Device& device, Call& call, std::size_t axis) {
  const Value& in = call.in(0);
  const Value& indices = call.in(1);
  const Value& out = call.out(0, in.type, gathered_dims(in, indices, axis));
  const kernels::TakeSpec spec{.outer = in.dims.product(0, axis),
                               .size = in.dims[axis],
                               .count = indices.count,
                               .inner = in.dims.product(axis + 1, in.dims.size()) *
                                        static_cast<std::int64_t>(type_size(in.type)),
                               .index = indices.type == Type::i64 ? kernels::DType::i64
                                                                  : kernels::DType::i32};
  device.take(call.stream(), spec, in.address, indices.address, out.address, call.fault());
}

// What lies at each place of an axis, one behind the other.
void copy_places(const Value& in, std::size_t axis, std::span<const std::int64_t> places,
                 Value& out) {
  if (out.count == 0) return;
  const std::int64_t size = in.dims[axis];
  const std::int64_t outer = in.dims.product(0, axis);
  const std::int64_t inner = in.dims.product(axis + 1, in.dims.size());
  visit_width(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* target = out.data<T>();
    for (std::int64_t o = 0; o < outer; ++o)
      for (const std::int64_t at : places)
        target = std::copy_n(in.data<T>() + (o * size + at) * inner, inner, target);
  });
}

void gather_on_host(Call& call, std::size_t axis) {
  const Value& in = call.in(0);
  const Value indices = wide_indices(call.in(1), call.memory());
  Value& out = call.out(0, in.type, gathered_dims(in, indices, axis));
  std::vector<std::int64_t> places;
  for (const std::int64_t index : indices.elements<std::int64_t>())
    places.push_back(place(index, in.dims[axis]));
  copy_places(in, axis, places, out);
}

Kernel make_gather(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return [axis_attribute = spec.integer("axis", 0), device = &spec.device()](Call& call) {
    const std::size_t axis = resolve_axis(axis_attribute, call.in(0).dims.size());
    if (call.on_accelerator())
      gather_on_device(*device, call, axis);
    else
      gather_on_host(call, axis);
  };
}

void run_gather_elements(Call& call, std::int64_t axis_attribute) {
  const Value& in = call.in(0);
  const Value indices = wide_indices(call.in(1), call.memory());
  const std::size_t rank = in.dims.size();
  const std::size_t axis = resolve_axis(axis_attribute, rank);
  bool fits = indices.dims.size() == rank;
  for (std::size_t i = 0; fits && i < rank; ++i)
    fits = i == axis || indices.dims[i] <= in.dims[i];
  if (!fits)
    throw Error(ErrorKind::failed, fmt::format("indices of shape {} do not fit shape {}",
                                               to_string(indices.dims), to_string(in.dims)));
  Value& out = call.out(0, in.type, indices.dims);
  const Strides strides = dense_strides(in.dims);
  visit_width(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t at = 0; at < out.count; ++at) {
      std::int64_t rest = at;
      std::int64_t from = 0;
      for (std::size_t i = rank; i-- > 0; rest /= indices.dims[i])
        if (i != axis) from += rest % indices.dims[i] * strides[i];
      from += place(indices.data<std::int64_t>()[at], in.dims[axis]) * strides[axis];
      out.data<T>()[at] = in.data<T>()[from];
    }
  });
}

Kernel make_gather_elements(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return [axis = spec.integer("axis", 0)](Call& call) { run_gather_elements(call, axis); };
}

void run_gather_nd(Call& call, std::int64_t batch_attribute) {
  const Value& in = call.in(0);
  const Value indices = wide_indices(call.in(1), call.memory());
  const std::size_t last = indices.dims.size() - (indices.dims.empty() ? 0 : 1);
  const auto batch = static_cast<std::size_t>(std::max<std::int64_t>(batch_attribute, 0));
  if (indices.dims.empty() || batch > last || batch_attribute < 0 ||
      indices.dims.back() >
          static_cast<std::int64_t>(in.dims.size() - std::min(batch, in.dims.size())) ||
      !std::equal(in.dims.begin(), in.dims.begin() + std::min(batch, in.dims.size()),
                  indices.dims.begin()))
    throw Error(ErrorKind::failed, fmt::format("indices of shape {} do not fit shape {}",
                                               to_string(indices.dims), to_string(in.dims)));
  const auto depth = static_cast<std::size_t>(indices.dims.back());
  Dims dims;
  for (std::size_t i = 0; i < last; ++i)
    dims.push_back(indices.dims[i]);
  for (std::size_t i = batch + depth; i < in.dims.size(); ++i)
    dims.push_back(in.dims[i]);
  Value& out = call.out(0, in.type, dims);
  if (out.count == 0) return;
  const Strides strides = dense_strides(in.dims);
  const std::int64_t inner = in.dims.product(batch + depth, in.dims.size());
  const std::int64_t tuples = indices.dims.product(0, last);
  const std::int64_t per_batch = indices.dims.product(batch, last);
  const std::int64_t batch_stride = in.dims.product(batch, in.dims.size());
  visit_width(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t t = 0; t < tuples; ++t) {
      std::int64_t from = t / per_batch * batch_stride;
      for (std::size_t k = 0; k < depth; ++k)
        from +=
            place(indices
                      .data<std::int64_t>()[t * indices.dims.back() + static_cast<std::int64_t>(k)],
                  in.dims[batch + k]) *
            strides[batch + k];
      std::copy_n(in.data<T>() + from, inner, out.data<T>() + t * inner);
    }
  });
}

Kernel make_gather_nd(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return [batch = spec.integer("batch_dims", 0)](Call& call) { run_gather_nd(call, batch); };
}

// [rank, how many]: the coordinates of elements that are not zero, in row-major order.
void run_non_zero(Call& call) {
  const Value flags = cast_numbers(call.in(0), Type::boolean, call.memory());
  const auto* flag = flags.data<std::uint8_t>();
  const std::int64_t found = std::count_if(flag, flag + flags.count, [](auto f) { return f != 0; });
  const std::size_t rank = flags.dims.size();
  Value& out = call.out(0, Type::i64, Dims{static_cast<std::int64_t>(rank), found});
  std::int64_t column = 0;
  for (std::int64_t at = 0; at < flags.count; ++at) {
    if (flag[at] == 0) continue;
    std::int64_t rest = at;
    for (std::size_t i = rank; i-- > 0; rest /= flags.dims[i])
      out.data<std::int64_t>()[static_cast<std::int64_t>(i) * found + column] =
          rest % flags.dims[i];
    ++column;
  }
}

Kernel make_non_zero(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return run_non_zero;
}

void run_trilu(Call& call, bool upper) {
  const Value& in = call.in(0);
  const std::size_t rank = in.dims.size();
  if (rank < 2) throw Error(ErrorKind::failed, "takes matrices");
  const std::int64_t far = std::int64_t{1} << 40;
  const std::int64_t k =
      call.has(1) ? std::clamp(convert<std::int64_t>(read_number(call.in(1), "k")), -far, far) : 0;
  Value& out = call.out(0, in.type, in.dims);
  const std::int64_t rows = in.dims[rank - 2], cols = in.dims[rank - 1];
  visit_width(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t at = 0; at < in.count; ++at) {
      const std::int64_t diagonal = at % cols - at / cols % rows;
      out.data<T>()[at] = (upper ? diagonal >= k : diagonal <= k) ? in.data<T>()[at] : T{};
    }
  });
}

Kernel make_trilu(const NodeSpec& spec) {
  spec.expect_inputs(1, 2);
  return [upper = spec.flag("upper", true)](Call& call) { run_trilu(call, upper); };
}

void run_compress(Call& call, std::optional<std::int64_t> axis_attribute) {
  const Value in = axis_attribute ? call.in(0) : call.in(0).reshaped(Dims{call.in(0).count});
  const Value& keep = call.in(1);
  const std::size_t axis = resolve_axis(axis_attribute.value_or(0), in.dims.size());
  if (keep.type != Type::boolean || keep.dims.size() != 1 || keep.count > in.dims[axis])
    throw Error(ErrorKind::failed, "the condition is not a list of bool that fits the axis");
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; const bool flag : keep.elements<bool>()) {
    if (flag) places.push_back(i);
    ++i;
  }
  Dims dims = in.dims;
  dims[axis] = static_cast<std::int64_t>(places.size());
  copy_places(in, axis, places, call.out(0, in.type, dims));
}

Kernel make_compress(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  std::optional<std::int64_t> axis;
  if (spec.has("axis")) axis = spec.integer("axis", 0);
  return [axis](Call& call) { run_compress(call, axis); };
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "Gather", 1, kNewest, make_gather, Half::as_is, Place::device, Moves::by_index},
    {"", "GatherElements", 11, kNewest, make_gather_elements},
    {"", "GatherND", 11, kNewest, make_gather_nd},
    {"", "NonZero", 9, kNewest, make_non_zero},
    {"", "Trilu", 14, kNewest, make_trilu},
    {"", "Compress", 9, kNewest, make_compress},
};

} // namespace

std::span<const Operator> gather_operators() {
  return table;
}

} // namespace mlp::native
