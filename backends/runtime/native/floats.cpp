// Conversions by their definition: a small float is sign, exponent and mantissa fields of given
// widths; only the top of the range differs between the formats.
#include "backends/runtime/native/floats.hpp"

#include <bit>
#include <cmath>
#include <limits>

namespace mlp::native {

float float_from_half(std::uint16_t bits) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t rest = bits & 0x7FFFU;
  if (rest >= 0x7C00U) return std::bit_cast<float>(sign | 0x7F800000U | ((rest & 0x3FFU) << 13));
  if (rest >= 0x400U) return std::bit_cast<float>(sign | ((rest << 13) + (112U << 23)));
  const float magnitude = static_cast<float>(rest) * 0x1p-24F; // subnormal
  return sign != 0 ? -magnitude : magnitude;
}

std::uint16_t half_from_float(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t rest = bits & 0x7FFFFFFFU;
  if (rest > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (rest >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U); // rounds to 2^16
  if (rest >= 0x38800000U) {
    const std::uint32_t rounded = rest + 0xFFFU + ((rest >> 13) & 1U);
    return static_cast<std::uint16_t>(sign | ((rounded - (112U << 23)) >> 13));
  }
  const float scaled = std::bit_cast<float>(rest) * 0x1p24F;
  return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(std::nearbyint(scaled)));
}

float float_from_bfloat(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t bfloat_from_float(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

namespace {

struct Format {
  int exponent_bits, mantissa_bits, bias;
  float largest;
  std::uint8_t nan;      // its code, without sign; 0xFF: has none
  std::uint8_t infinity; // its code, without sign; 0: has none
  bool unsigned_zero;    // the "uz" forms: the code of -0 is the only NaN
};

Format format_of(Type type) noexcept {
  switch (type) {
  case Type::f8e4m3fn:
    return {4, 3, 7, 448.0F, 0x7F, 0, false};
  case Type::f8e4m3fnuz:
    return {4, 3, 8, 240.0F, 0x80, 0, true};
  case Type::f8e5m2:
    return {5, 2, 15, 57344.0F, 0x7E, 0x7C, false};
  case Type::f8e5m2fnuz:
    return {5, 2, 16, 57344.0F, 0x80, 0, true};
  default:
    return {2, 1, 1, 6.0F, 0xFF, 0, false}; // f4e2m1
  }
}

float from_code(const Format& f, unsigned bits) noexcept {
  const unsigned sign_bit = 1U << (f.exponent_bits + f.mantissa_bits);
  const unsigned rest = bits & (sign_bit - 1);
  const bool negative = (bits & sign_bit) != 0;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  if (f.unsigned_zero && bits == f.nan) return nan;
  if (f.infinity != 0 && rest >= f.infinity)
    return rest > f.infinity
               ? nan
               : std::copysign(std::numeric_limits<float>::infinity(), negative ? -1.0F : 1.0F);
  if (!f.unsigned_zero && f.infinity == 0 && f.nan != 0xFF && rest == f.nan) return nan;
  const int exponent = static_cast<int>(rest >> f.mantissa_bits);
  const auto mantissa = static_cast<float>(rest & ((1U << f.mantissa_bits) - 1));
  const float unit = std::ldexp(1.0F, -f.mantissa_bits);
  const float magnitude = exponent == 0 ? std::ldexp(mantissa * unit, 1 - f.bias)
                                        : std::ldexp(1.0F + mantissa * unit, exponent - f.bias);
  return negative ? -magnitude : magnitude;
}

std::uint8_t to_code(const Format& f, float value, bool saturate) noexcept {
  const auto sign_bit = static_cast<std::uint8_t>(1U << (f.exponent_bits + f.mantissa_bits));
  const std::uint8_t sign = std::signbit(value) ? sign_bit : std::uint8_t{0};
  const bool has_nan = f.nan != 0xFF;
  if (std::isnan(value) && has_nan)
    return f.unsigned_zero ? f.nan : static_cast<std::uint8_t>(sign | f.nan);
  float magnitude = std::isnan(value) ? 0.0F : std::fabs(value);
  int exponent = 1 - f.bias;
  if (std::isfinite(magnitude) && magnitude > 0.0F)
    exponent = std::max(exponent, std::ilogb(magnitude));
  const float quantum = std::ldexp(1.0F, exponent - f.mantissa_bits);
  if (std::isfinite(magnitude)) magnitude = std::nearbyint(magnitude / quantum) * quantum;
  if (magnitude > f.largest) {
    if (!saturate && has_nan) {
      if (f.unsigned_zero) return f.nan;
      return static_cast<std::uint8_t>(sign | (f.infinity != 0 ? f.infinity : f.nan));
    }
    magnitude = f.largest;
  }
  if (magnitude == 0.0F) return f.unsigned_zero ? std::uint8_t{0} : sign;
  exponent = std::max(1 - f.bias, std::ilogb(magnitude));
  const auto units = static_cast<int>(std::ldexp(magnitude, f.mantissa_bits - exponent));
  const int hidden = 1 << f.mantissa_bits;
  const int code =
      units < hidden ? units : ((exponent + f.bias) << f.mantissa_bits) + units - hidden;
  return static_cast<std::uint8_t>(sign | code);
}

} // namespace

bool is_small_float(Type type) noexcept {
  return (type >= Type::f8e4m3fn && type <= Type::f8e5m2fnuz) || type == Type::f4e2m1 ||
         type == Type::f8e8m0;
}

float float_from_small(Type type, std::uint8_t bits) noexcept {
  if (type == Type::f8e8m0)
    return bits == 0xFF ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0F, bits - 127);
  return from_code(format_of(type), bits);
}

std::uint8_t small_from_float(Type type, float value, bool saturate) noexcept {
  if (type == Type::f8e8m0) return scale_from_float(value, ScaleRounding::up, saturate);
  return to_code(format_of(type), value, saturate);
}

std::uint8_t scale_from_float(float value, ScaleRounding rounding, bool saturate) noexcept {
  if (std::isnan(value)) return 0xFF;
  const float magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return saturate ? 0xFE : 0xFF;
  if (magnitude == 0.0F) return 0;
  int exponent = 0;
  const float fraction = std::frexp(magnitude, &exponent) * 2.0F; // in [1, 2)
  --exponent;
  if (rounding == ScaleRounding::up && fraction > 1.0F) ++exponent;
  if (rounding == ScaleRounding::nearest && fraction >= 1.5F) ++exponent;
  if (exponent > 127) return saturate ? 0xFE : 0xFF;
  return static_cast<std::uint8_t>(std::max(exponent, -127) + 127);
}

Value widen(const Value& value, Memory& memory) {
  Value wide = memory.allocate(Type::f32, value.dims);
  const auto* in = value.data<std::uint16_t>();
  auto* out = wide.data<float>();
  if (value.type == Type::bf16)
    for (std::int64_t i = 0; i < value.count; ++i)
      out[i] = float_from_bfloat(in[i]);
  else
    for (std::int64_t i = 0; i < value.count; ++i)
      out[i] = float_from_half(in[i]);
  return wide;
}

Value narrow(const Value& value, Type type, Memory& memory) {
  Value half = memory.allocate(type, value.dims);
  const auto* in = value.data<float>();
  auto* out = half.data<std::uint16_t>();
  if (type == Type::bf16)
    for (std::int64_t i = 0; i < value.count; ++i)
      out[i] = bfloat_from_float(in[i]);
  else
    for (std::int64_t i = 0; i < value.count; ++i)
      out[i] = half_from_float(in[i]);
  return half;
}

} // namespace mlp::native
