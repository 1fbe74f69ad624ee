// exp, tanh and erf without branches, tables or calls, so that loops over them vectorise.
#pragma once

#include "kernels/cpu/kernel.hpp"

#include <bit>
#include <cstdint>

namespace mlp::kernels::cpu {

// e^x to 2 units in the last place; 0 below -87.3, about 1.7e38 above 88. NaN stays NaN.
MLP_INLINE float exp_f32(float x) noexcept {
  constexpr float kLog2e = 1.44269504088896341F;
  constexpr float kLn2High = 0.693359375F; // few bits, so that n * high is exact
  constexpr float kLn2Low = -2.12194440054690583e-4F;
  constexpr float kRound = 12582912.0F; // 1.5 * 2^23: adding it rounds to an integer
  const float clamped = x > 88.0F ? 88.0F : (x < -87.3F ? -87.3F : x);
  const float shifted = clamped * kLog2e + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low; // |r| <= ln(2) / 2
  // Taylor's series to r^7: the rest is below 1e-8 there.
  float p = 1.0F / 5040.0F;
  p = p * r + 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const std::int32_t exponent =
      std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRound);
  const float scale = std::bit_cast<float>(static_cast<std::uint32_t>(exponent + 127) << 23);
  return x < -87.3F ? 0.0F : p * scale;
}

// Series near 0, where 1 - 2 / (e^2x + 1) would cancel.
MLP_INLINE float tanh_f32(float x) noexcept {
  const float s = x * x;
  const float near =
      x +
      x * s * (-1.0F / 3.0F + s * (2.0F / 15.0F + s * (-17.0F / 315.0F + s * (62.0F / 2835.0F))));
  const float far = 1.0F - 2.0F / (exp_f32(2.0F * x) + 1.0F);
  return s < 0.09F ? near : far;
}

MLP_INLINE float sigmoid_f32(float x) noexcept {
  return 1.0F / (1.0F + exp_f32(-x));
}

// Abramowitz and Stegun 7.1.26: absolute error below 2e-7 (their 1.5e-7, and rounding).
MLP_INLINE float erf_f32(float x) noexcept {
  const float a = x < 0.0F ? -x : x;
  const float t = 1.0F / (1.0F + 0.3275911F * a);
  float p = 1.061405429F;
  p = p * t - 1.453152027F;
  p = p * t + 1.421413741F;
  p = p * t - 0.284496736F;
  p = p * t + 0.254829592F;
  const float y = 1.0F - p * t * exp_f32(-a * a);
  return x < 0.0F ? -y : y;
}

constexpr float kSqrtHalf = 0.70710678118654752F;
constexpr float kInvSqrt2Pi = 0.39894228040143268F;

MLP_INLINE float gelu_f32(float x) noexcept {
  return 0.5F * x * (1.0F + erf_f32(x * kSqrtHalf));
}
MLP_INLINE float gelu_slope_f32(float x) noexcept {
  return 0.5F * (1.0F + erf_f32(x * kSqrtHalf)) + x * kInvSqrt2Pi * exp_f32(-0.5F * x * x);
}

} // namespace mlp::kernels::cpu
