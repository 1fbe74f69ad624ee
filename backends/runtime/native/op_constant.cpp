// Constant, ConstantOfShape, Range, OneHot, EyeLike: tensors made from little.
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

namespace mlp::native {

namespace {

template <class T>
Kernel constant_list(const std::vector<T>& list, Type type, bool scalar) {
  return [list, type, scalar](Call& call) {
    Value& out = call.out(0, type, scalar ? Dims{} : Dims{static_cast<std::int64_t>(list.size())});
    std::copy(list.begin(), list.end(), out.data<T>());
  };
}

Kernel make_constant(const NodeSpec& spec) {
  spec.expect_inputs(0, 0);
  if (const auto value = spec.tensor("value"))
    return [value = *value](Call& call) { call.set(0, value); };
  if (spec.has("value_float"))
    return constant_list<float>({spec.real("value_float", 0.0F)}, Type::f32, true);
  if (spec.has("value_int"))
    return constant_list<std::int64_t>({spec.integer("value_int", 0)}, Type::i64, true);
  if (spec.has("value_string"))
    return constant_list<std::string>({spec.text("value_string", "")}, Type::string, true);
  if (const auto list = spec.reals("value_floats"))
    return constant_list<float>(*list, Type::f32, false);
  if (const auto list = spec.integers("value_ints"))
    return constant_list<std::int64_t>(*list, Type::i64, false);
  if (const auto list = spec.texts("value_strings"))
    return constant_list<std::string>(*list, Type::string, false);
  throw Error(ErrorKind::config, "has no attribute that gives its value");
}

Dims read_shape(const Value& value) {
  return Dims(read_integers(value, "the shape"));
}

Kernel make_constant_of_shape(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  const std::optional<Value> value = spec.tensor("value");
  if (value && value->count != 1)
    throw Error(ErrorKind::config, "attribute 'value' has not one element");
  return [value](Call& call) {
    const Dims dims = read_shape(call.in(0));
    Value& out = call.out(0, value ? value->type : Type::f32, dims);
    visit_width(out.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      std::fill_n(out.data<T>(), out.count, value ? *value->data<T>() : T{});
    });
  };
}

void run_range(Call& call) {
  const Value& start = call.in(0);
  for (std::size_t i = 0; i < 3; ++i)
    if (call.in(i).type != start.type || call.in(i).count != 1)
      throw Error(ErrorKind::failed, "start, limit and delta are not scalars of one type");
  visit_number(start.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T first = *start.data<T>();
    const T limit = *call.in(1).data<T>();
    const T delta = *call.in(2).data<T>();
    if (delta == T{0}) throw Error(ErrorKind::failed, "delta is 0");
    const double steps = std::ceil((static_cast<double>(limit) - static_cast<double>(first)) /
                                   static_cast<double>(delta));
    const auto count = convert<std::int64_t>(std::max(steps, 0.0));
    Value& out = call.out(0, start.type, Dims{count});
    for (std::int64_t i = 0; i < count; ++i)
      out.data<T>()[i] = convert<T>(static_cast<double>(first) +
                                    static_cast<double>(i) * static_cast<double>(delta));
  });
}

Kernel make_range(const NodeSpec& spec) {
  spec.expect_inputs(3, 3);
  return run_range;
}

// The bits of an element in the low bytes of a word.
std::uint64_t bits_of(const Value& values, std::size_t i) {
  std::uint64_t bits = 0;
  visit_width(values.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) bits = values.data<T>()[i];
  });
  return bits;
}

// Texts, which no device takes.
void one_hot_of_texts(const Value& indices, const Value& values, const kernels::OneHotSpec& spec,
                      Value& out) {
  std::fill_n(out.data<std::string>(), out.count, values.data<std::string>()[0]);
  for (std::int64_t i = 0; i < indices.count; ++i) {
    std::int64_t index = indices.data<std::int64_t>()[i];
    if (index < -spec.depth || index >= spec.depth) continue;
    if (index < 0) index += spec.depth;
    out.data<std::string>()[(i / spec.inner * spec.depth + index) * spec.inner + i % spec.inner] =
        values.data<std::string>()[1];
  }
}

// indices [..] -> [.., depth, ..] with `values` = {off, on}. An index in [-depth, 0) counts from
// the end; any other outside of [0, depth) gives off only. Depth and values are on the host.
void run_one_hot(kernels::Device& device, Call& call, std::int64_t axis_attribute) {
  const auto depth = convert<std::int64_t>(read_number(call.in(1), "the depth"));
  const Value& values = call.in(2);
  if (values.count != 2) throw Error(ErrorKind::failed, "values are not two");
  if (depth < 0) throw Error(ErrorKind::failed, fmt::format("the depth is {}", depth));
  const bool there = call.on_accelerator(); // then indices are integers, see Moves::indices
  if (there && values.type == Type::string) refuse_type(values.type);
  const Value indices = there ? call.in(0) : cast_numbers(call.in(0), Type::i64, call.memory());
  const std::size_t axis = resolve_axis(axis_attribute, indices.dims.size() + 1);
  Dims dims = indices.dims;
  dims.insert(axis, depth);
  Value& out = call.out(0, values.type, dims);
  if (out.count == 0) return;
  kernels::OneHotSpec spec{.outer = dims.product(0, axis),
                           .depth = depth,
                           .inner = dims.product(axis + 1, dims.size()),
                           .index = indices.type == Type::i32 ? kernels::DType::i32
                                                              : kernels::DType::i64};
  if (values.type == Type::string) return one_hot_of_texts(indices, values, spec, out);
  spec.element = type_size(values.type);
  spec.off = bits_of(values, 0);
  spec.on = bits_of(values, 1);
  device.one_hot(call.stream(), spec, indices.address, out.address);
}

Kernel make_one_hot(const NodeSpec& spec) {
  spec.expect_inputs(3, 3);
  return [axis = spec.integer("axis", -1), device = &spec.device()](Call& call) {
    run_one_hot(*device, call, axis);
  };
}

Kernel make_eye_like(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  const std::int64_t far = std::int64_t{1} << 40;
  const std::int64_t shift = std::clamp(spec.integer("k", 0), -far, far);
  const auto given = type_from_onnx(static_cast<int>(spec.integer("dtype", 0) & 0xFF));
  return [shift, given](Call& call) {
    const Value& like = call.in(0);
    if (like.dims.size() != 2) throw Error(ErrorKind::failed, "takes a matrix");
    const Type type = given.value_or(like.type);
    Value eye = call.memory().allocate(Type::f32, like.dims);
    std::fill_n(eye.data<float>(), eye.count, 0.0F);
    for (std::int64_t row = 0; row < like.dims[0] && eye.count > 0; ++row)
      if (row >= -shift && (shift <= 0 || row < like.dims[1] - shift) && row + shift < like.dims[1])
        eye.data<float>()[row * like.dims[1] + row + shift] = 1.0F;
    call.set(0, cast_numbers(eye, type, call.memory()));
  };
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "Constant", 1, kNewest, make_constant},
    {"", "ConstantOfShape", 9, kNewest, make_constant_of_shape},
    {"", "Range", 11, kNewest, make_range, Half::via_float},
    {"", "OneHot", 9, kNewest, make_one_hot, Half::as_is, Place::moves, Moves::indices},
    {"", "EyeLike", 9, kNewest, make_eye_like},
};

} // namespace

std::span<const Operator> constant_operators() {
  return table;
}

} // namespace mlp::native
