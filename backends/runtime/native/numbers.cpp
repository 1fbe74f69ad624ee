// Conversion loops, one for each pair of types, and small readers of integer inputs.
#include "backends/runtime/native/numbers.hpp"

#include "backends/runtime/native/floats.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

namespace mlp::native {

bool number_is_integer(Type type) noexcept {
  switch (type) {
  case Type::u8:
  case Type::i8:
  case Type::u16:
  case Type::i16:
  case Type::u32:
  case Type::i32:
  case Type::u64:
  case Type::i64:
    return true;
  default:
    return false;
  }
}

namespace {

template <class F>
auto visit_number_or_bool(Type type, F&& f) {
  if (type == Type::boolean) return f(Tag<bool>{});
  return visit_number(type, f);
}

} // namespace

Value cast_numbers(const Value& value, Type type, Memory& memory) {
  if (value.type == type) return value;
  if (is_half(value.type)) return cast_numbers(widen(value, memory), type, memory);
  if (is_half(type)) return narrow(cast_numbers(value, Type::f32, memory), type, memory);
  Value out = memory.allocate(type, value.dims);
  visit_number_or_bool(value.type, [&](auto from_tag) {
    using From = typename decltype(from_tag)::type;
    visit_number_or_bool(type, [&](auto to_tag) {
      using To = typename decltype(to_tag)::type;
      const From* in = value.data<From>();
      To* result = out.data<To>();
      for (std::int64_t i = 0; i < value.count; ++i)
        result[i] = convert<To>(in[i]);
    });
  });
  return out;
}

std::vector<std::int64_t> read_integers(const Value& value, std::string_view what) {
  if (value.count > kMaxList)
    throw Error(ErrorKind::failed, fmt::format("{} has {} elements", what, value.count));
  if (value.type == Type::i64) {
    const auto elements = value.elements<std::int64_t>();
    return {elements.begin(), elements.end()};
  }
  if (value.type == Type::i32) {
    const auto elements = value.elements<std::int32_t>();
    return {elements.begin(), elements.end()};
  }
  throw Error(ErrorKind::failed,
              fmt::format("{} is {}, not int64 or int32", what, type_name(value.type)));
}

double read_number(const Value& value, std::string_view what) {
  if (value.count != 1)
    throw Error(ErrorKind::failed, fmt::format("{} has {} elements, not one", what, value.count));
  if (is_half(value.type)) {
    const std::uint16_t bits = *value.data<std::uint16_t>();
    return value.type == Type::f16 ? float_from_half(bits) : float_from_bfloat(bits);
  }
  return visit_number_or_bool(value.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    return static_cast<double>(*value.data<T>());
  });
}

std::size_t resolve_axis(std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank)
    throw Error(ErrorKind::failed,
                fmt::format("axis {} is outside of a tensor of {} dimensions", axis, rank));
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

} // namespace mlp::native
