// The end of a dense layer: bias, activation and dropout in one pass over the rows of a part.
#include "kernels/cpu/math.hpp"
#include "kernels/cpu/ops.hpp"
#include "kernels/philox.hpp"

#include <array>
#include <cmath>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 13; // elements that are worth a thread
// Philox blocks drawn at a time: enough that the compiler keeps the loops and uses vectors.
constexpr std::int64_t kLanes = 64;
constexpr std::int64_t kDraw = kLanes * 4; // words

struct Dropout {
  std::uint64_t seed = 0, step = 0;
  std::uint32_t layer = 0;
  std::uint32_t threshold = 0; // an element is kept if its word is at least that
  float scale = 1.0F;
};

Dropout dropout_of(const EpilogueSpec& spec, const StepState* state) noexcept {
  const auto threshold = static_cast<std::uint64_t>(std::llround(spec.dropout * 0x1p32));
  return {.seed = state->seed,
          .step = state->step,
          .layer = spec.layer,
          .threshold = static_cast<std::uint32_t>(std::min<std::uint64_t>(threshold, 0xFFFFFFFFU)),
          .scale = 1.0F / (1.0F - spec.dropout)};
}

// Multipliers (0 or scale) of the elements [first, first + kDraw); first is a multiple of 4. The
// rounds run over all lanes at once so that the compiler can use vectors.
MLP_INLINE void draw(const Dropout& d, std::int64_t first, float* __restrict out) {
  std::uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
  for (std::int64_t i = 0; i < kLanes; ++i) {
    c0[i] = static_cast<std::uint32_t>(first / 4 + i);
    c1[i] = d.layer;
    c2[i] = static_cast<std::uint32_t>(d.step);
    c3[i] = static_cast<std::uint32_t>(d.step >> 32);
  }
  auto k0 = static_cast<std::uint32_t>(d.seed);
  auto k1 = static_cast<std::uint32_t>(d.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (std::int64_t i = 0; i < kLanes; ++i) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * c0[i];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * c2[i];
      c0[i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
      c1[i] = static_cast<std::uint32_t>(p1);
      c2[i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
      c3[i] = static_cast<std::uint32_t>(p0);
    }
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  const std::uint32_t threshold = d.threshold;
  const float scale = d.scale;
  for (std::int64_t i = 0; i < kLanes; ++i) {
    out[4 * i] = c0[i] >= threshold ? scale : 0.0F;
    out[4 * i + 1] = c1[i] >= threshold ? scale : 0.0F;
    out[4 * i + 2] = c2[i] >= threshold ? scale : 0.0F;
    out[4 * i + 3] = c3[i] >= threshold ? scale : 0.0F;
  }
}

// y[i] = x[i] * multiplier of element i, over [begin, end) of the whole matrix.
MLP_INLINE void drop_body(const Dropout& d, std::int64_t begin, std::int64_t end, const float* x,
                          float* y) {
  alignas(64) float factor[kDraw];
  for (std::int64_t at = begin / 4 * 4; at < end; at += kDraw) {
    draw(d, at, factor);
    if (at >= begin && at + kDraw <= end) {
      for (std::int64_t i = 0; i < kDraw; ++i)
        y[at + i] = x[at + i] * factor[i];
    } else {
      for (std::int64_t i = std::max(begin, at); i < std::min(end, at + kDraw); ++i)
        y[i] = x[i] * factor[i - at];
    }
  }
}
MLP_KERNEL(drop, (const Dropout& d, std::int64_t begin, std::int64_t end, const float* x, float* y),
           (d, begin, end, x, y))

MLP_INLINE void add_bias_body(std::int64_t n, const float* __restrict bias, float* __restrict z) {
  for (std::int64_t i = 0; i < n; ++i)
    z[i] += bias[i];
}
MLP_KERNEL(add_bias, (std::int64_t n, const float* bias, float* z), (n, bias, z))

// Slopes from the output after dropout, y = kept ? f(z) * scale : 0, for dy already masked.
MLP_INLINE void relu_slope_body(std::int64_t n, float scale, const float* y, const float* dy,
                                float* dz) {
  for (std::int64_t i = 0; i < n; ++i)
    dz[i] = y[i] > 0.0F ? dy[i] * scale : 0.0F;
}
MLP_KERNEL(relu_slope, (std::int64_t n, float scale, const float* y, const float* dy, float* dz),
           (n, scale, y, dy, dz))
MLP_INLINE void tanh_slope_body(std::int64_t n, float keep, const float* y, float* dz) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float f = y[i] * keep;
    dz[i] *= 1.0F - f * f;
  }
}
MLP_KERNEL(tanh_slope, (std::int64_t n, float keep, const float* y, float* dz), (n, keep, y, dz))
MLP_INLINE void sigmoid_slope_body(std::int64_t n, float keep, const float* y, float* dz) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float f = y[i] * keep;
    dz[i] *= f * (1.0F - f);
  }
}
MLP_KERNEL(sigmoid_slope, (std::int64_t n, float keep, const float* y, float* dz), (n, keep, y, dz))

} // namespace

void epilogue(ThreadPool& pool, const EpilogueSpec& spec, const StepState* state, const float* bias,
              float* z, float* y) {
  const bool drops = spec.dropout > 0.0F;
  const Dropout dropout = drops ? dropout_of(spec, state) : Dropout{};
  pool.split(spec.rows, 1, kLeast / spec.cols + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* at = z + row * spec.cols;
      if (bias != nullptr) add_bias(spec.cols, bias, at);
      apply_activation(spec.activation, spec.cols, at, y + row * spec.cols);
    }
    if (drops) drop(dropout, begin * spec.cols, end * spec.cols, y, y);
  });
}

void epilogue_backward(ThreadPool& pool, const EpilogueSpec& spec, const StepState* state,
                       const float* z, const float* y, const float* dy, float* dz, float* dbias) {
  const bool drops = spec.dropout > 0.0F;
  const Dropout dropout = drops ? dropout_of(spec, state) : Dropout{};
  const float keep = 1.0F - spec.dropout;
  pool.split(spec.rows, 1, kLeast / spec.cols + 1, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t begin = first * spec.cols;
    const std::int64_t size = (last - first) * spec.cols;
    if (spec.activation == Activation::relu) { // what was dropped has y = 0
      relu_slope(size, dropout.scale, y + begin, dy + begin, dz + begin);
      return;
    }
    const float* masked = dy;
    if (drops) {
      drop(dropout, begin, begin + size, dy, dz);
      masked = dz;
    }
    switch (spec.activation) {
    case Activation::none:
    case Activation::relu:
      if (masked != dz) apply_activation(Activation::none, size, masked + begin, dz + begin);
      break;
    case Activation::gelu:
      apply_activation_backward(Activation::gelu, size, z + begin, masked + begin, dz + begin);
      break;
    case Activation::tanh:
      if (masked != dz) apply_activation(Activation::none, size, masked + begin, dz + begin);
      tanh_slope(size, keep, y + begin, dz + begin);
      break;
    case Activation::sigmoid:
      if (masked != dz) apply_activation(Activation::none, size, masked + begin, dz + begin);
      sigmoid_slope(size, keep, y + begin, dz + begin);
      break;
    }
  });
  if (dbias != nullptr) sum_rows(pool, spec.rows, spec.cols, dz, dbias);
}

} // namespace mlp::kernels::cpu
