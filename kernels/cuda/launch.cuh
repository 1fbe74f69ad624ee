// How kernels are launched and how they read and write: four float32 a thread, in 16 bytes where
// the buffers allow it.
#pragma once

#include "kernels/cuda/math.cuh"
#include "kernels/cuda/ops.hpp"

#include <type_traits>

namespace mlp::kernels::cuda {

inline constexpr int kBlock = 256; // threads of every block: whole warps, enough to hide latency
inline constexpr int kWarp = 32;
inline constexpr int kWarps = kBlock / kWarp;
inline constexpr std::int64_t kPer = 4; // elements that a thread takes at a time

// Blocks for a loop over `items`, an item a thread and turn: all that are resident at once, at
// most.
inline unsigned blocks_for(const Queue& q, std::int64_t items) {
  const std::int64_t blocks = (items + kBlock - 1) / kBlock;
  const std::int64_t most = std::int64_t{8} * q.processors;
  return static_cast<unsigned>(blocks < most ? (blocks > 0 ? blocks : 1) : most);
}

template <class... Parameters, class... Arguments>
void launch(const char* what, void (*kernel)(Parameters...), dim3 grid, const Queue& q,
            Arguments... arguments) {
#if defined(__CUDACC__)
  kernel<<<grid, kBlock, 0, q.stream>>>(static_cast<Parameters>(arguments)...);
#else
  emulate::launch(grid, kBlock, q.stream, [=] { kernel(static_cast<Parameters>(arguments)...); });
#endif
  check_launch(what);
}

// body(std::integral_constant<Activation, kind>) for the kind that is only known when it runs.
template <class Body>
void with_activation(Activation kind, const Body& body) {
  switch (kind) {
  case Activation::none:
    return body(std::integral_constant<Activation, Activation::none>());
  case Activation::relu:
    return body(std::integral_constant<Activation, Activation::relu>());
  case Activation::gelu:
    return body(std::integral_constant<Activation, Activation::gelu>());
  case Activation::tanh:
    return body(std::integral_constant<Activation, Activation::tanh>());
  case Activation::sigmoid:
    return body(std::integral_constant<Activation, Activation::sigmoid>());
  }
}

// Whether all may be read 16 bytes at a time; null pointers may.
template <class... Pointers>
bool aligned16(const Pointers*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) | ... | 0U) & 15U) == 0;
}

#if defined(__CUDACC__) || defined(MLP_EMULATE_CUDA)

__device__ __forceinline__ std::int64_t thread_index() {
  return static_cast<std::int64_t>(blockIdx.x) * kBlock + static_cast<std::int64_t>(threadIdx.x);
}
__device__ __forceinline__ std::int64_t thread_count() {
  return static_cast<std::int64_t>(gridDim.x) * kBlock;
}

struct Four {
  float v[kPer];
};
// Elements i to i + 3 of n; those beyond n are 0 and are not read. i is a multiple of 4, so that an
// aligned buffer is aligned there.
__device__ __forceinline__ Four load4(const float* p, std::int64_t i, std::int64_t n,
                                      bool aligned) {
  Four f;
  if (aligned && i + kPer <= n) {
    const float4 all = *reinterpret_cast<const float4*>(p + i);
    f.v[0] = all.x;
    f.v[1] = all.y;
    f.v[2] = all.z;
    f.v[3] = all.w;
  } else {
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      f.v[j] = i + j < n ? p[i + j] : 0.0F;
  }
  return f;
}
__device__ __forceinline__ void store4(float* p, std::int64_t i, std::int64_t n, bool aligned,
                                       const Four& f) {
  if (aligned && i + kPer <= n) {
    *reinterpret_cast<float4*>(p + i) = make_float4(f.v[0], f.v[1], f.v[2], f.v[3]);
  } else {
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      if (i + j < n) p[i + j] = f.v[j];
  }
}

// The columns of four elements that follow one another in a matrix of `cols` columns.
struct Columns {
  std::int64_t at[kPer];
};
__device__ __forceinline__ Columns columns_of(std::int64_t i, std::int64_t cols) {
  Columns c;
  std::int64_t col = i - quotient(i, cols) * cols;
#pragma unroll
  for (int j = 0; j < kPer; ++j) {
    c.at[j] = col;
    if (++col == cols) col = 0;
  }
  return c;
}

#endif

} // namespace mlp::kernels::cuda
