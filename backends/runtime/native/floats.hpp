// The floats that C++20 has no type for: float16, bfloat16 and ONNX's floats of 8 and 4 bits, as
// conversions from and to float.
#pragma once

#include "backends/runtime/native/value.hpp"

#include <cstdint>

namespace mlp::native {

[[nodiscard]] float float_from_half(std::uint16_t bits) noexcept;  // IEEE 754 binary16
[[nodiscard]] std::uint16_t half_from_float(float value) noexcept; // ties to even
[[nodiscard]] float float_from_bfloat(std::uint16_t bits) noexcept;
[[nodiscard]] std::uint16_t bfloat_from_float(float value) noexcept; // ties to even

// `type` is one of f8*, f4e2m1. Source: ONNX, "Float stored in 8 bits", tables 1 and 2;
// Micikevicius et al. 2022 (E4M3, E5M2); Noune et al. 2022 (the "uz" forms); OCP Microscaling 1.0
// (E8M0, E2M1).
[[nodiscard]] bool is_small_float(Type type) noexcept;
[[nodiscard]] float float_from_small(Type type, std::uint8_t bits) noexcept;
// Ties to even. `saturate`: what is too large becomes the largest, else NaN (or infinity, where the
// type has one).
[[nodiscard]] std::uint8_t small_from_float(Type type, float value, bool saturate) noexcept;

enum class ScaleRounding { up, down, nearest };
// The power of two for a float8e8m0; the sign is dropped.
[[nodiscard]] std::uint8_t scale_from_float(float value, ScaleRounding rounding,
                                            bool saturate) noexcept;

// float16 or bfloat16 to float, and back to `type`.
[[nodiscard]] Value widen(const Value& value, Memory& memory);
[[nodiscard]] Value narrow(const Value& value, Type type, Memory& memory);

} // namespace mlp::native
