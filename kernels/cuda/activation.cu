// Activations and their slopes, elementwise; the reference is cpu/activation.cpp.
#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

namespace {

// x may be y, and dy may be dx: no __restrict__.
template <Activation kind>
__global__ void __launch_bounds__(kBlock)
    forward(std::int64_t size, bool aligned, const float* x, float* y) {
  for (std::int64_t i = kPer * thread_index(); i < size; i += kPer * thread_count()) {
    Four f = load4(x, i, size, aligned);
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      f.v[j] = activate<kind>(f.v[j]);
    store4(y, i, size, aligned, f);
  }
}

template <Activation kind>
__global__ void __launch_bounds__(kBlock)
    backward(std::int64_t size, bool aligned, const float* x, const float* dy, float* dx) {
  for (std::int64_t i = kPer * thread_index(); i < size; i += kPer * thread_count()) {
    Four f = load4(dy, i, size, aligned);
    if constexpr (kind != Activation::none) {
      const Four saved = load4(x, i, size, aligned);
#pragma unroll
      for (int j = 0; j < kPer; ++j) {
        if constexpr (kind == Activation::relu)
          f.v[j] = saved.v[j] > 0.0F ? f.v[j] : 0.0F; // not a product: the slope 0 hides infinity
        else
          f.v[j] *= slope<kind>(saved.v[j]);
      }
    }
    store4(dx, i, size, aligned, f);
  }
}

} // namespace

void activation(const Queue& q, Activation kind, std::int64_t size, const float* x, float* y) {
  if (kind == Activation::none && x == y) return;
  with_activation(kind, [&](auto which) {
    launch("queue an activation", forward<which()>, blocks_for(q, (size + kPer - 1) / kPer), q,
           size, aligned16(x, y), x, y);
  });
}

void activation_backward(const Queue& q, Activation kind, std::int64_t size, const float* x,
                         const float* dy, float* dx) {
  if (kind == Activation::none && dy == dx) return;
  with_activation(kind, [&](auto which) {
    launch("queue an activation's gradient", backward<which()>,
           blocks_for(q, (size + kPer - 1) / kPer), q, size, aligned16(x, dy, dx), x, dy, dx);
  });
}

} // namespace mlp::kernels::cuda
