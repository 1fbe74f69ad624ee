// Element types of ONNX, one table, and how code is chosen by them. Types without a C++ equivalent
// are kept in a byte or a word of storage; types under 8 bits take one byte an element.
#pragma once

#include "core/model/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlp::native {

// Numbered as TensorProto.DataType (onnx.proto, and its later additions up to opset 27).
enum class Type : std::uint8_t {
  undefined = 0,
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  string = 8,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  bf16 = 16,
  f8e4m3fn = 17,
  f8e4m3fnuz = 18,
  f8e5m2 = 19,
  f8e5m2fnuz = 20,
  u4 = 21,
  i4 = 22,
  f4e2m1 = 23,
  f8e8m0 = 24,
  u2 = 25,
  i2 = 26,
};

// As the specification spells it in tensor(...): "float", "int64", "bfloat16".
[[nodiscard]] std::string_view type_name(Type type) noexcept;
// Bytes of one element in memory; sizeof(std::string) for strings, 0 for undefined.
[[nodiscard]] std::size_t type_size(Type type) noexcept;
// Bits of one element in a TensorProto's raw_data; 0 for strings and undefined.
[[nodiscard]] unsigned packed_bits(Type type) noexcept;
// nullopt for complex numbers and numbers that ONNX does not define.
[[nodiscard]] std::optional<Type> type_from_onnx(int number) noexcept;

// The same type at our boundary; nullopt if it has none there (8-bit floats, 4-bit integers).
[[nodiscard]] std::optional<model::DataType> to_data_type(Type type) noexcept;
[[nodiscard]] Type from_data_type(model::DataType type) noexcept;

[[nodiscard]] constexpr bool is_half(Type type) noexcept {
  return type == Type::f16 || type == Type::bf16;
}

// Throws Error(failed): "does not take tensors of <type>".
[[noreturn]] void refuse_type(Type type);

template <class T>
struct Tag {
  using type = T;
};

// f(Tag<T>{}) for float and double.
template <class F>
auto visit_float(Type type, F&& f) {
  switch (type) {
  case Type::f32:
    return f(Tag<float>{});
  case Type::f64:
    return f(Tag<double>{});
  default:
    refuse_type(type);
  }
}

// f(Tag<T>{}) for floats and integers of 8 to 64 bits.
template <class F>
auto visit_number(Type type, F&& f) {
  switch (type) {
  case Type::f32:
    return f(Tag<float>{});
  case Type::f64:
    return f(Tag<double>{});
  case Type::i8:
    return f(Tag<std::int8_t>{});
  case Type::i16:
    return f(Tag<std::int16_t>{});
  case Type::i32:
    return f(Tag<std::int32_t>{});
  case Type::i64:
    return f(Tag<std::int64_t>{});
  case Type::u8:
    return f(Tag<std::uint8_t>{});
  case Type::u16:
    return f(Tag<std::uint16_t>{});
  case Type::u32:
    return f(Tag<std::uint32_t>{});
  case Type::u64:
    return f(Tag<std::uint64_t>{});
  default:
    refuse_type(type);
  }
}

// f(Tag<T>{}) for the C++ type that moves an element without looking at it.
template <class F>
auto visit_width(Type type, F&& f) {
  if (type == Type::string) return f(Tag<std::string>{});
  switch (type_size(type)) {
  case 1:
    return f(Tag<std::uint8_t>{});
  case 2:
    return f(Tag<std::uint16_t>{});
  case 4:
    return f(Tag<std::uint32_t>{});
  case 8:
    return f(Tag<std::uint64_t>{});
  default:
    refuse_type(type);
  }
}

} // namespace mlp::native
