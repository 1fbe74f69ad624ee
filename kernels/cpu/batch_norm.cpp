// Batch normalisation. A part owns a range of columns, so that sums over rows need no exchange;
// sums are float64, in the order of rows.
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/ops.hpp"

#include <cmath>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kChunk = 64;      // columns at a time: the sums stay in registers and L1
constexpr std::int64_t kLeast = 1 << 13; // elements that are worth a thread

// sums[c] = sum over rows of x, squares[c] = sum of (x - centre)^2, for width <= kChunk columns.
MLP_INLINE void sums_body(std::int64_t rows, std::int64_t stride, std::int64_t width,
                          const float* __restrict x, double* __restrict sums) {
  for (std::int64_t c = 0; c < width; ++c)
    sums[c] = 0.0;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < width; ++c)
      sums[c] += static_cast<double>(x[r * stride + c]);
}
MLP_INLINE void squares_body(std::int64_t rows, std::int64_t stride, std::int64_t width,
                             const float* __restrict x, const float* __restrict centre,
                             double* __restrict sums) {
  for (std::int64_t c = 0; c < width; ++c)
    sums[c] = 0.0;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < width; ++c) {
      const double d = static_cast<double>(x[r * stride + c]) - static_cast<double>(centre[c]);
      sums[c] += d * d;
    }
}
MLP_INLINE void normalise_body(std::int64_t rows, std::int64_t stride, std::int64_t width,
                               const float* __restrict x, const float* __restrict mean,
                               const float* __restrict slope, const float* __restrict beta,
                               float* __restrict y) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < width; ++c)
      y[r * stride + c] = (x[r * stride + c] - mean[c]) * slope[c] + beta[c];
}
// sum of dy and of dy * (x - mean) * inv_std.
MLP_INLINE void back_sums_body(std::int64_t rows, std::int64_t stride, std::int64_t width,
                               const float* __restrict x, const float* __restrict dy,
                               const float* __restrict mean, const float* __restrict inv_std,
                               double* __restrict sum, double* __restrict product) {
  for (std::int64_t c = 0; c < width; ++c)
    sum[c] = product[c] = 0.0;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < width; ++c) {
      const float normal = (x[r * stride + c] - mean[c]) * inv_std[c];
      sum[c] += static_cast<double>(dy[r * stride + c]);
      product[c] += static_cast<double>(dy[r * stride + c] * normal);
    }
}
// dx may be dy.
MLP_INLINE void back_body(std::int64_t rows, std::int64_t stride, std::int64_t width,
                          const float* __restrict x, const float* dy, const float* __restrict mean,
                          const float* __restrict inv_std, const float* __restrict slope,
                          const float* __restrict mean_dy, const float* __restrict mean_product,
                          float* dx) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < width; ++c) {
      const float normal = (x[r * stride + c] - mean[c]) * inv_std[c];
      dx[r * stride + c] = slope[c] * (dy[r * stride + c] - mean_dy[c] - normal * mean_product[c]);
    }
}
MLP_KERNEL(sums,
           (std::int64_t rows, std::int64_t stride, std::int64_t width, const float* x, double* s),
           (rows, stride, width, x, s))
MLP_KERNEL(squares,
           (std::int64_t rows, std::int64_t stride, std::int64_t width, const float* x,
            const float* centre, double* s),
           (rows, stride, width, x, centre, s))
MLP_KERNEL(normalise,
           (std::int64_t rows, std::int64_t stride, std::int64_t width, const float* x,
            const float* mean, const float* slope, const float* beta, float* y),
           (rows, stride, width, x, mean, slope, beta, y))
MLP_KERNEL(back_sums,
           (std::int64_t rows, std::int64_t stride, std::int64_t width, const float* x,
            const float* dy, const float* mean, const float* inv_std, double* sum, double* product),
           (rows, stride, width, x, dy, mean, inv_std, sum, product))
MLP_KERNEL(back,
           (std::int64_t rows, std::int64_t stride, std::int64_t width, const float* x,
            const float* dy, const float* mean, const float* inv_std, const float* slope,
            const float* mean_dy, const float* mean_product, float* dx),
           (rows, stride, width, x, dy, mean, inv_std, slope, mean_dy, mean_product, dx))

MLP_INLINE void affine_body(std::int64_t n, float slope, float mean, float beta, const float* x,
                            float* y) {
  for (std::int64_t i = 0; i < n; ++i)
    y[i] = (x[i] - mean) * slope + beta;
}
MLP_KERNEL(affine, (std::int64_t n, float slope, float mean, float beta, const float* x, float* y),
           (n, slope, mean, beta, x, y))
MLP_INLINE void affine_row_body(std::int64_t n, float epsilon, const float* gamma,
                                const float* beta, const float* mean, const float* var,
                                const float* x, float* y) {
  for (std::int64_t i = 0; i < n; ++i)
    y[i] = (x[i] - mean[i]) * (gamma[i] / __builtin_sqrtf(var[i] + epsilon)) + beta[i];
}
MLP_KERNEL(affine_row,
           (std::int64_t n, float epsilon, const float* gamma, const float* beta, const float* mean,
            const float* var, const float* x, float* y),
           (n, epsilon, gamma, beta, mean, var, x, y))

// body(first column, width) over chunks of columns.
template <class Body>
void over_columns(ThreadPool& pool, std::int64_t rows, std::int64_t cols, const Body& body) {
  pool.split(cols, 16, kLeast / rows + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; c += kChunk)
      body(c, std::min(kChunk, end - c));
  });
}

} // namespace

void batch_norm(ThreadPool& pool, const BatchNormSpec& spec, const float* x, const float* gamma,
                const float* beta, float* running_mean, float* running_var, float* mean,
                float* inv_std, float* y) {
  const auto rows = static_cast<double>(spec.rows);
  over_columns(pool, spec.rows, spec.cols, [&](std::int64_t c, std::int64_t width) {
    double total[kChunk];
    float slope[kChunk];
    sums(spec.rows, spec.cols, width, x + c, total);
    for (std::int64_t i = 0; i < width; ++i)
      mean[c + i] = static_cast<float>(total[i] / rows);
    squares(spec.rows, spec.cols, width, x + c, mean + c, total);
    for (std::int64_t i = 0; i < width; ++i) {
      const double variance = total[i] / rows;
      inv_std[c + i] =
          static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(spec.epsilon)));
      slope[i] = gamma[c + i] * inv_std[c + i];
      running_mean[c + i] += spec.momentum * (mean[c + i] - running_mean[c + i]);
      if (spec.rows > 1)
        running_var[c + i] +=
            spec.momentum * (static_cast<float>(total[i] / (rows - 1.0)) - running_var[c + i]);
    }
    normalise(spec.rows, spec.cols, width, x + c, mean + c, slope, beta + c, y + c);
  });
}

void batch_norm_backward(ThreadPool& pool, const BatchNormSpec& spec, const float* x,
                         const float* gamma, const float* mean, const float* inv_std,
                         const float* dy, float* dx, float* dgamma, float* dbeta) {
  const auto rows = static_cast<double>(spec.rows);
  over_columns(pool, spec.rows, spec.cols, [&](std::int64_t c, std::int64_t width) {
    double sum[kChunk];
    double product[kChunk];
    float slope[kChunk];
    float mean_dy[kChunk];
    float mean_product[kChunk];
    back_sums(spec.rows, spec.cols, width, x + c, dy + c, mean + c, inv_std + c, sum, product);
    for (std::int64_t i = 0; i < width; ++i) {
      dbeta[c + i] = static_cast<float>(sum[i]);
      dgamma[c + i] = static_cast<float>(product[i]);
      mean_dy[i] = static_cast<float>(sum[i] / rows);
      mean_product[i] = static_cast<float>(product[i] / rows);
      slope[i] = gamma[c + i] * inv_std[c + i];
    }
    back(spec.rows, spec.cols, width, x + c, dy + c, mean + c, inv_std + c, slope, mean_dy,
         mean_product, dx + c);
  });
}

void batch_norm_inference(ThreadPool& pool, std::int64_t outer, std::int64_t channels,
                          std::int64_t inner, float epsilon, const float* x, const float* gamma,
                          const float* beta, const float* mean, const float* var, float* y) {
  if (inner == 1) {
    pool.split(outer, 1, kLeast / channels + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        affine_row(channels, epsilon, gamma, beta, mean, var, x + r * channels, y + r * channels);
    });
    return;
  }
  pool.split(outer * channels, 1, kLeast / inner + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const std::int64_t c = plane % channels;
      affine(inner, gamma[c] / std::sqrt(var[c] + epsilon), mean[c], beta[c], x + plane * inner,
             y + plane * inner);
    }
  });
}

} // namespace mlp::kernels::cpu
