// What the libraries leave to us after matrix products and convolutions: bias with the exact
// activations.
#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

namespace {

template <class T>
struct alignas(kPer * sizeof(T)) Pack {
  T v[kPer];
};

// vector: every row starts where a Pack may, and is a multiple of one.
template <class T, Activation kind>
__global__ void __launch_bounds__(kBlock)
    finish_kernel(Finish s, bool vector, const T* bias, T* c) {
  const std::int64_t chunks = (s.cols + kPer - 1) / kPer;
  for (std::int64_t unit = thread_index(); unit < s.batch * s.rows * chunks;
       unit += thread_count()) {
    const std::int64_t row = quotient(unit, chunks); // over all matrices
    const std::int64_t column = (unit - row * chunks) * kPer;
    const std::int64_t matrix = quotient(row, s.rows);
    T* at = c + matrix * s.stride + (row - matrix * s.rows) * s.ld + column;
    const float of_row = bias != nullptr && s.bias_period != 0
                             ? to_float(bias[row - quotient(row, s.bias_period) * s.bias_period])
                             : 0.0F;
    const int count = s.cols - column < kPer ? static_cast<int>(s.cols - column) : kPer;
    Pack<T> pack = {};
    if (s.scale != 0.0F) {
      if (vector) {
        pack = *reinterpret_cast<const Pack<T>*>(at);
      } else {
#pragma unroll
        for (int j = 0; j < kPer; ++j)
          if (j < count) pack.v[j] = at[j];
      }
    }
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      if (j >= count) break;
      float value = s.scale == 0.0F ? 0.0F : s.scale * to_float(pack.v[j]);
      if (bias != nullptr) value += s.bias_period != 0 ? of_row : to_float(bias[column + j]);
      pack.v[j] = from_float<T>(activate<kind>(value));
    }
    if (vector) {
      *reinterpret_cast<Pack<T>*>(at) = pack;
    } else {
#pragma unroll
      for (int j = 0; j < kPer; ++j)
        if (j < count) at[j] = pack.v[j];
    }
  }
}

template <class T>
void finish_as(const Queue& q, const Finish& spec, const void* bias, void* c) {
  const std::int64_t units = spec.batch * spec.rows * ((spec.cols + kPer - 1) / kPer);
  const bool vector = ((spec.cols | spec.ld | spec.stride) % kPer) == 0 &&
                      reinterpret_cast<std::uintptr_t>(c) % (kPer * sizeof(T)) == 0;
  with_activation(spec.activation, [&](auto which) {
    launch("queue bias and activation", finish_kernel<T, which()>, blocks_for(q, units), q, spec,
           vector, static_cast<const T*>(bias), static_cast<T*>(c));
  });
}

} // namespace

void finish(const Queue& q, const Finish& spec, const void* bias, void* c) {
  if (spec.dtype == DType::bf16)
    finish_as<Bf16>(q, spec, bias, c);
  else
    finish_as<float>(q, spec, bias, c);
}

} // namespace mlp::kernels::cuda
