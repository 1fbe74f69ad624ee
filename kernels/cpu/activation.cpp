// ReLU, GELU, tanh, sigmoid and their slopes.
#include "kernels/cpu/math.hpp"
#include "kernels/cpu/ops.hpp"

#include <cstring>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 14; // elements that are worth a thread

MLP_INLINE void relu_body(std::int64_t n, const float* x, float* y) {
  for (std::int64_t i = 0; i < n; ++i)
    y[i] = x[i] < 0.0F ? 0.0F : x[i]; // NaN stays NaN
}
MLP_INLINE void gelu_body(std::int64_t n, const float* x, float* y) {
  for (std::int64_t i = 0; i < n; ++i)
    y[i] = gelu_f32(x[i]);
}
MLP_INLINE void tanh_body(std::int64_t n, const float* x, float* y) {
  for (std::int64_t i = 0; i < n; ++i)
    y[i] = tanh_f32(x[i]);
}
MLP_INLINE void sigmoid_body(std::int64_t n, const float* x, float* y) {
  for (std::int64_t i = 0; i < n; ++i)
    y[i] = sigmoid_f32(x[i]);
}
MLP_KERNEL(relu, (std::int64_t n, const float* x, float* y), (n, x, y))
MLP_KERNEL(gelu, (std::int64_t n, const float* x, float* y), (n, x, y))
MLP_KERNEL(tanh, (std::int64_t n, const float* x, float* y), (n, x, y))
MLP_KERNEL(sigmoid, (std::int64_t n, const float* x, float* y), (n, x, y))

// x is the input for gelu, the output for the others.
MLP_INLINE void relu_back_body(std::int64_t n, const float* x, const float* dy, float* dx) {
  for (std::int64_t i = 0; i < n; ++i)
    dx[i] = x[i] > 0.0F ? dy[i] : 0.0F;
}
MLP_INLINE void gelu_back_body(std::int64_t n, const float* x, const float* dy, float* dx) {
  for (std::int64_t i = 0; i < n; ++i)
    dx[i] = dy[i] * gelu_slope_f32(x[i]);
}
MLP_INLINE void tanh_back_body(std::int64_t n, const float* x, const float* dy, float* dx) {
  for (std::int64_t i = 0; i < n; ++i)
    dx[i] = dy[i] * (1.0F - x[i] * x[i]);
}
MLP_INLINE void sigmoid_back_body(std::int64_t n, const float* x, const float* dy, float* dx) {
  for (std::int64_t i = 0; i < n; ++i)
    dx[i] = dy[i] * x[i] * (1.0F - x[i]);
}
MLP_KERNEL(relu_back, (std::int64_t n, const float* x, const float* dy, float* dx), (n, x, dy, dx))
MLP_KERNEL(gelu_back, (std::int64_t n, const float* x, const float* dy, float* dx), (n, x, dy, dx))
MLP_KERNEL(tanh_back, (std::int64_t n, const float* x, const float* dy, float* dx), (n, x, dy, dx))
MLP_KERNEL(sigmoid_back, (std::int64_t n, const float* x, const float* dy, float* dx),
           (n, x, dy, dx))

} // namespace

void apply_activation(Activation kind, std::int64_t size, const float* x, float* y) noexcept {
  switch (kind) {
  case Activation::none:
    if (y != x) std::memcpy(y, x, static_cast<std::size_t>(size) * sizeof(float));
    return;
  case Activation::relu:
    return relu(size, x, y);
  case Activation::gelu:
    return gelu(size, x, y);
  case Activation::tanh:
    return tanh(size, x, y);
  case Activation::sigmoid:
    return sigmoid(size, x, y);
  }
}

void apply_activation_backward(Activation kind, std::int64_t size, const float* x, const float* dy,
                               float* dx) noexcept {
  switch (kind) {
  case Activation::none:
    if (dx != dy) std::memcpy(dx, dy, static_cast<std::size_t>(size) * sizeof(float));
    return;
  case Activation::relu:
    return relu_back(size, x, dy, dx);
  case Activation::gelu:
    return gelu_back(size, x, dy, dx);
  case Activation::tanh:
    return tanh_back(size, x, dy, dx);
  case Activation::sigmoid:
    return sigmoid_back(size, x, dy, dx);
  }
}

void activation(ThreadPool& pool, Activation kind, std::int64_t size, const float* x, float* y) {
  pool.split(size, 64, kLeast, [&](std::int64_t begin, std::int64_t end) {
    apply_activation(kind, end - begin, x + begin, y + begin);
  });
}

void activation_backward(ThreadPool& pool, Activation kind, std::int64_t size, const float* x,
                         const float* dy, float* dx) {
  pool.split(size, 64, kLeast, [&](std::int64_t begin, std::int64_t end) {
    apply_activation_backward(kind, end - begin, x + begin, dy + begin, dx + begin);
  });
}

} // namespace mlp::kernels::cpu
