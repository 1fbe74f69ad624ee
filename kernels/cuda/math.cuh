// Arithmetic of one element and of indices, for kernels and for host code alike.
#pragma once

#include "kernels/device.hpp"
#include "kernels/philox.hpp"

#include <cmath>

#if defined(__CUDACC__)
#define MLP_BOTH __host__ __device__ __forceinline__
#else
#define MLP_BOTH inline
#endif

namespace mlp::kernels::cuda {

template <Activation kind>
MLP_BOTH float activate(float x) {
  if constexpr (kind == Activation::relu) return x < 0.0F ? 0.0F : x; // NaN stays NaN
  if constexpr (kind == Activation::gelu) return 0.5F * x * (1.0F + erff(x * 0.70710678118654752F));
  if constexpr (kind == Activation::tanh) return tanhf(x);
  if constexpr (kind == Activation::sigmoid) return 1.0F / (1.0F + expf(-x));
  return x;
}

// The derivative, from the input for gelu and from the output for the others.
template <Activation kind>
MLP_BOTH float slope(float x) {
  if constexpr (kind == Activation::relu) return x > 0.0F ? 1.0F : 0.0F;
  if constexpr (kind == Activation::gelu)
    return 0.5F * (1.0F + erff(x * 0.70710678118654752F)) +
           x * 0.39894228040143268F * expf(-0.5F * x * x);
  if constexpr (kind == Activation::tanh) return 1.0F - x * x;
  if constexpr (kind == Activation::sigmoid) return x * (1.0F - x);
  return 1.0F;
}

// Division that is short where both fit 32 bits, as they nearly always do; both >= 0.
MLP_BOTH std::int64_t quotient(std::int64_t a, std::int64_t b) {
  if (((a | b) >> 32) == 0)
    return static_cast<std::int64_t>(static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b));
  return a / b;
}

// Dropout's decision, see EpilogueSpec.
struct Dropout {
  const StepState* state = nullptr; // null: off
  std::uint32_t layer = 0;
  std::uint32_t threshold = 0; // an element is kept if its word is at least that
  float scale = 1.0F, keep = 1.0F;
};
inline Dropout dropout_of(const EpilogueSpec& spec, const StepState* state) {
  if (!(spec.dropout > 0.0F)) return {};
  const auto threshold = static_cast<std::uint64_t>(std::llround(spec.dropout * 0x1p32));
  return {state, spec.layer,
          static_cast<std::uint32_t>(threshold < 0xFFFFFFFFU ? threshold : 0xFFFFFFFFU),
          1.0F / (1.0F - spec.dropout), 1.0F - spec.dropout};
}
// The words of elements 4 * block to 4 * block + 3.
MLP_BOTH PhiloxBlock dropout_words(const Dropout& d, std::uint64_t seed, std::uint64_t step,
                                   std::int64_t block) {
  return philox({static_cast<std::uint32_t>(block), d.layer, static_cast<std::uint32_t>(step),
                 static_cast<std::uint32_t>(step >> 32)},
                seed);
}

// bfloat16 is the upper half of a float32; rounding is to nearest, ties to even.
struct Bf16 {
  std::uint16_t bits;
};
union FloatBits {
  float value;
  std::uint32_t bits;
};
MLP_BOTH float to_float(float x) {
  return x;
}
MLP_BOTH float to_float(Bf16 x) {
  FloatBits f;
  f.bits = static_cast<std::uint32_t>(x.bits) << 16;
  return f.value;
}
template <class T>
MLP_BOTH T from_float(float x);
template <>
MLP_BOTH float from_float<float>(float x) {
  return x;
}
template <>
MLP_BOTH Bf16 from_float<Bf16>(float x) {
  FloatBits f;
  f.value = x;
  if (x != x) return {static_cast<std::uint16_t>((f.bits >> 16) | 0x40U)}; // NaN stays one
  f.bits += 0x7FFFU + ((f.bits >> 16) & 1U);
  return {static_cast<std::uint16_t>(f.bits >> 16)};
}

} // namespace mlp::kernels::cuda
