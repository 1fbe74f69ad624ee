// What the libraries leave to us around matrix products and convolutions: bias with the exact
// activations, and padding that differs between the ends of an axis.
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
__global__ void __launch_bounds__(kBlock)
    pad_kernel(std::int64_t size, Padding s, const T* __restrict__ x, T* __restrict__ y) {
  for (std::int64_t at = thread_index(); at < size; at += thread_count()) {
    const std::int64_t line = quotient(at, s.out[2]);
    const std::int64_t sheet = quotient(line, s.out[1]);
    const std::int64_t plane = quotient(sheet, s.out[0]);
    const std::int64_t i = sheet - plane * s.out[0] - s.before[0];
    const std::int64_t j = line - sheet * s.out[1] - s.before[1];
    const std::int64_t k = at - line * s.out[2] - s.before[2];
    const bool inside = i >= 0 && i < s.in[0] && j >= 0 && j < s.in[1] && k >= 0 && k < s.in[2];
    y[at] = inside ? x[((plane * s.in[0] + i) * s.in[1] + j) * s.in[2] + k] : T{};
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

template <class T>
void pad_as(const Queue& q, const Padding& spec, const void* x, void* y) {
  const std::int64_t size = spec.planes * spec.out[0] * spec.out[1] * spec.out[2];
  launch("queue padding", pad_kernel<T>, blocks_for(q, size), q, size, spec,
         static_cast<const T*>(x), static_cast<T*>(y));
}

} // namespace

void finish(const Queue& q, const Finish& spec, const void* bias, void* c) {
  if (spec.dtype == DType::bf16)
    finish_as<Bf16>(q, spec, bias, c);
  else
    finish_as<float>(q, spec, bias, c);
}

void pad(const Queue& q, const Padding& spec, const void* x, void* y) {
  if (spec.element == 2)
    pad_as<std::uint16_t>(q, spec, x, y);
  else
    pad_as<std::uint32_t>(q, spec, x, y);
}

} // namespace mlp::kernels::cuda
