// Cast and CastLike, between all types: numbers, bool, strings, the small floats and integers.
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/floats.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace mlp::native {

namespace {

struct CastRules {
  bool saturate = true;                       // to the floats of 8 bits
  ScaleRounding rounding = ScaleRounding::up; // to float8e8m0
};

bool is_small_integer(Type type) {
  return type == Type::i4 || type == Type::u4 || type == Type::i2 || type == Type::u2;
}

[[noreturn]] void refuse_text(const std::string& text, Type type) {
  throw Error(ErrorKind::failed, fmt::format("cannot read '{}' as {}",
                                             printable(text.substr(0, 64)), type_name(type)));
}

// Decimal or scientific notation, "NaN", "INF", "+INF", "-INF" in any case.
template <class T>
T parse(const std::string& text, Type type) {
  std::string_view digits = trim(text);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  T value{};
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec == std::errc() && result.ptr == digits.data() + digits.size()) return value;
  if constexpr (std::is_integral_v<T>) return convert<T>(parse<double>(text, type)); // "1e3"
  refuse_text(text, type);
}

Value from_strings(const Value& in, Type type, Memory& memory) {
  const Type parsed = is_half(type) || type == Type::boolean ? Type::f32 : type;
  Value out = memory.allocate(parsed, in.dims);
  visit_number(parsed, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t i = 0; i < in.count; ++i)
      out.data<T>()[i] = parse<T>(in.data<std::string>()[i], type);
  });
  return cast_numbers(out, type, memory);
}

// Reals: the shortest text that reads back as the same number.
template <class T>
std::string to_text(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "INF" : "-INF";
  }
  return fmt::format("{}", value);
}

Value to_strings(const Value& given, Memory& memory) {
  const Value in = is_half(given.type) ? widen(given, memory) : given;
  Value out = memory.allocate(Type::string, in.dims);
  auto* text = out.data<std::string>();
  if (in.type == Type::boolean) {
    for (std::int64_t i = 0; i < in.count; ++i)
      text[i].assign(1, in.data<bool>()[i] ? '1' : '0');
    return out;
  }
  visit_number(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t i = 0; i < in.count; ++i)
      text[i] = to_text(in.data<T>()[i]);
  });
  return out;
}

Value from_small_floats(const Value& in, Memory& memory) {
  Value out = memory.allocate(Type::f32, in.dims);
  for (std::int64_t i = 0; i < in.count; ++i)
    out.data<float>()[i] = float_from_small(in.type, in.data<std::uint8_t>()[i]);
  return out;
}

Value to_small_floats(const Value& in, Type type, const CastRules& rules, Memory& memory) {
  Value out = memory.allocate(type, in.dims);
  for (std::int64_t i = 0; i < in.count; ++i)
    out.data<std::uint8_t>()[i] =
        type == Type::f8e8m0 ? scale_from_float(in.data<float>()[i], rules.rounding, rules.saturate)
                             : small_from_float(type, in.data<float>()[i], rules.saturate);
  return out;
}

// Keeps the low bits, with the sign spread over the byte.
Value to_small_integers(const Value& in, Type type, Memory& memory) {
  const Value wide = cast_numbers(in, Type::i64, memory);
  Value out = memory.allocate(type, in.dims);
  const unsigned bits = packed_bits(type);
  const unsigned mask = (1U << bits) - 1;
  const bool is_signed = type == Type::i4 || type == Type::i2;
  for (std::int64_t i = 0; i < in.count; ++i) {
    unsigned field = static_cast<unsigned>(wide.data<std::int64_t>()[i]) & mask;
    if (is_signed && (field >> (bits - 1)) != 0) field |= ~mask;
    out.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(field);
  }
  return out;
}

Value cast(const Value& given, Type type, const CastRules& rules, Memory& memory) {
  if (given.type == type) return given;
  Value in = given;
  if (is_small_float(in.type)) in = from_small_floats(in, memory);
  if (is_small_integer(in.type))
    in.type = in.type == Type::i4 || in.type == Type::i2 ? Type::i8 : Type::u8;
  if (is_small_float(type))
    return to_small_floats(in.type == Type::string ? from_strings(in, Type::f32, memory)
                                                   : cast_numbers(in, Type::f32, memory),
                           type, rules, memory);
  if (is_small_integer(type)) return to_small_integers(in, type, memory);
  if (in.type == Type::string) return from_strings(in, type, memory);
  if (type == Type::string) return to_strings(in, memory);
  return cast_numbers(in, type, memory);
}

CastRules read_rules(const NodeSpec& spec) {
  CastRules rules;
  if (spec.opset() >= 19) rules.saturate = spec.flag("saturate", true);
  if (spec.opset() < 24) return rules;
  const std::string rounding = spec.text("round_mode", "up");
  if (rounding == "down")
    rules.rounding = ScaleRounding::down;
  else if (rounding == "nearest")
    rules.rounding = ScaleRounding::nearest;
  else if (rounding != "up")
    throw Error(ErrorKind::config, fmt::format("attribute 'round_mode' is '{}'", rounding));
  return rules;
}

Kernel make_cast(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  const std::int64_t number = spec.integer("to", 0);
  const auto type = type_from_onnx(number >= 0 && number < 256 ? static_cast<int>(number) : 0);
  if (!type)
    throw Error(ErrorKind::config, fmt::format("attribute 'to' is {}, not a type", number));
  return [type = *type, rules = read_rules(spec)](Call& call) {
    call.set(0, cast(call.in(0), type, rules, call.memory()));
  };
}

Kernel make_cast_like(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return [rules = read_rules(spec)](Call& call) {
    call.set(0, cast(call.in(0), call.in(1).type, rules, call.memory()));
  };
}

constexpr Operator table[] = {
    {"", "Cast", 6, Operator::kNewest, make_cast},
    {"", "CastLike", 15, Operator::kNewest, make_cast_like},
};

} // namespace

std::span<const Operator> cast_operators() {
  return table;
}

} // namespace mlp::native
