// Conversions between the number types, bool included.
#pragma once

#include "backends/runtime/native/value.hpp"

#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

namespace mlp::native {

[[nodiscard]] bool number_is_integer(Type type) noexcept; // of 8 to 64 bits; not bool

// Real to integer: towards zero, what does not fit becomes the nearest end, NaN becomes 0 (C++
// leaves both undefined). Integer to integer: modulo 2^bits.
template <class To, class From>
[[nodiscard]] To convert(From value) noexcept {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From{0};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // The ends as From; the upper one may round up to 2^bits, which does not fit.
    constexpr auto low = static_cast<From>(std::numeric_limits<To>::min());
    constexpr auto high = static_cast<From>(std::numeric_limits<To>::max());
    if (value != value) return To{0};
    if (value >= high) return std::numeric_limits<To>::max();
    if (value <= low) return std::numeric_limits<To>::min();
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

// A copy as `type`. Both are numbers of 8 to 64 bits, float16, bfloat16 or bool; throws
// Error(failed) otherwise.
[[nodiscard]] Value cast_numbers(const Value& value, Type type, Memory& memory);

// The elements of an integer tensor (int32 or int64) as int64: axes, shapes, indices.
// Throws Error(failed) naming `what` if it is of another type or has more than kMaxList elements.
inline constexpr std::int64_t kMaxList = 1 << 20;
[[nodiscard]] std::vector<std::int64_t> read_integers(const Value& value, std::string_view what);
// The only element of a tensor as double, whatever its number type. Throws Error(failed).
[[nodiscard]] double read_number(const Value& value, std::string_view what);

// -rank <= axis < rank, counted from the end if negative. Throws Error(failed).
[[nodiscard]] std::size_t resolve_axis(std::int64_t axis, std::size_t rank);

} // namespace mlp::native
