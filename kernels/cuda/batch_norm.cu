// Batch normalisation; the reference is cpu/batch_norm.cpp. Two kernels: sums over rows in float64
// around the first row's value, so that a large mean costs no digits, then one pass over elements.
#include "kernels/cuda/reduce.cuh"

namespace mlp::kernels::cuda {

namespace {

template <int V>
__global__ void __launch_bounds__(kBlock)
    statistics(ColumnGrid g, Scratch scratch, float epsilon, float momentum,
               const float* __restrict__ x, float* running_mean, float* running_var, float* mean,
               float* inv_std) {
  column_sums<V, 2, double>(
      g, scratch,
      [&](std::int64_t row, std::int64_t column, double(&sums)[2][V]) {
        float values[V];
        float centre[V];
        load_row(x, row * g.cols + column, values);
        load_row(x, column, centre);
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const double d = static_cast<double>(values[v]) - static_cast<double>(centre[v]);
          sums[0][v] += d;
          sums[1][v] += d * d;
        }
      },
      [&](std::int64_t c, const double(&total)[2]) {
        const auto rows = static_cast<double>(g.rows);
        const double square = total[1] - total[0] * total[0] / rows;
        const double squares = square > 0.0 || square != square ? square : 0.0; // NaN stays NaN
        const auto centre = static_cast<float>(static_cast<double>(x[c]) + total[0] / rows);
        mean[c] = centre;
        inv_std[c] = static_cast<float>(1.0 / sqrt(squares / rows + static_cast<double>(epsilon)));
        running_mean[c] += momentum * (centre - running_mean[c]);
        if (g.rows > 1)
          running_var[c] +=
              momentum * (static_cast<float>(squares / (rows - 1.0)) - running_var[c]);
      });
}

__global__ void __launch_bounds__(kBlock)
    normalise(std::int64_t size, std::int64_t cols, bool aligned, const float* __restrict__ x,
              const float* __restrict__ gamma, const float* __restrict__ beta,
              const float* __restrict__ mean, const float* __restrict__ inv_std,
              float* __restrict__ y) {
  for (std::int64_t i = kPer * thread_index(); i < size; i += kPer * thread_count()) {
    Four f = load4(x, i, size, aligned);
    const Columns columns = columns_of(i, cols);
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      const std::int64_t c = columns.at[j];
      f.v[j] = (f.v[j] - mean[c]) * (gamma[c] * inv_std[c]) + beta[c];
    }
    store4(y, i, size, aligned, f);
  }
}

template <int V>
__global__ void __launch_bounds__(kBlock)
    back_sums(ColumnGrid g, Scratch scratch, const float* __restrict__ x,
              const float* __restrict__ mean, const float* __restrict__ inv_std,
              const float* __restrict__ dy, float* dgamma, float* dbeta) {
  column_sums<V, 2, double>(
      g, scratch,
      [&](std::int64_t row, std::int64_t column, double(&sums)[2][V]) {
        const std::int64_t i = row * g.cols + column;
        float values[V];
        float slopes[V];
        load_row(x, i, values);
        load_row(dy, i, slopes);
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const float normal = (values[v] - mean[column + v]) * inv_std[column + v];
          sums[0][v] += static_cast<double>(slopes[v]);
          sums[1][v] += static_cast<double>(slopes[v] * normal);
        }
      },
      [&](std::int64_t c, const double(&total)[2]) {
        dbeta[c] = static_cast<float>(total[0]);
        dgamma[c] = static_cast<float>(total[1]);
      });
}

// dx may be dy.
__global__ void __launch_bounds__(kBlock)
    back(std::int64_t size, std::int64_t cols, float share, bool aligned,
         const float* __restrict__ x, const float* __restrict__ gamma,
         const float* __restrict__ mean, const float* __restrict__ inv_std,
         const float* __restrict__ dgamma, const float* __restrict__ dbeta, const float* dy,
         float* dx) {
  for (std::int64_t i = kPer * thread_index(); i < size; i += kPer * thread_count()) {
    const Four in = load4(x, i, size, aligned);
    Four f = load4(dy, i, size, aligned);
    const Columns columns = columns_of(i, cols);
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      const std::int64_t c = columns.at[j];
      const float normal = (in.v[j] - mean[c]) * inv_std[c];
      f.v[j] = gamma[c] * inv_std[c] * (f.v[j] - dbeta[c] * share - normal * (dgamma[c] * share));
    }
    store4(dx, i, size, aligned, f);
  }
}

// y may be x. The four elements of a thread may lie in different channels.
__global__ void __launch_bounds__(kBlock)
    inference(std::int64_t size, std::int64_t channels, std::int64_t inner, float epsilon,
              bool aligned, const float* x, const float* __restrict__ gamma,
              const float* __restrict__ beta, const float* __restrict__ mean,
              const float* __restrict__ var, float* y) {
  for (std::int64_t i = kPer * thread_index(); i < size; i += kPer * thread_count()) {
    Four f = load4(x, i, size, aligned);
    const std::int64_t plane = quotient(i, inner);
    std::int64_t within = i - plane * inner;
    std::int64_t c = plane - quotient(plane, channels) * channels;
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      f.v[j] = (f.v[j] - mean[c]) * (gamma[c] / sqrtf(var[c] + epsilon)) + beta[c];
      if (++within == inner) {
        within = 0;
        if (++c == channels) c = 0;
      }
    }
    store4(y, i, size, aligned, f);
  }
}

} // namespace

void batch_norm(const Queue& q, const BatchNormSpec& spec, const float* x, const float* gamma,
                const float* beta, float* running_mean, float* running_var, float* mean,
                float* inv_std, float* y) {
  const bool vector = spec.cols % 4 == 0 && aligned16(x);
  const ColumnGrid g = column_grid(q, spec.rows, spec.cols, vector ? 4 : 1, 2);
  launch("queue a batch normalisation's sums", vector ? statistics<4> : statistics<1>, g.grid(), q,
         g, q.scratch, spec.epsilon, spec.momentum, x, running_mean, running_var, mean, inv_std);
  const std::int64_t size = spec.rows * spec.cols;
  launch("queue a batch normalisation", normalise, blocks_for(q, (size + kPer - 1) / kPer), q, size,
         spec.cols, aligned16(x, y), x, gamma, beta, mean, inv_std, y);
}

void batch_norm_backward(const Queue& q, const BatchNormSpec& spec, const float* x,
                         const float* gamma, const float* mean, const float* inv_std,
                         const float* dy, float* dx, float* dgamma, float* dbeta) {
  const bool vector = spec.cols % 4 == 0 && aligned16(x, dy);
  const ColumnGrid g = column_grid(q, spec.rows, spec.cols, vector ? 4 : 1, 2);
  launch("queue a batch normalisation's gradient", vector ? back_sums<4> : back_sums<1>, g.grid(),
         q, g, q.scratch, x, mean, inv_std, dy, dgamma, dbeta);
  const std::int64_t size = spec.rows * spec.cols;
  launch("queue a batch normalisation's gradient", back, blocks_for(q, (size + kPer - 1) / kPer), q,
         size, spec.cols, 1.0F / static_cast<float>(spec.rows), aligned16(x, dy, dx), x, gamma,
         mean, inv_std, dgamma, dbeta, dy, dx);
}

void batch_norm_inference(const Queue& q, std::int64_t outer, std::int64_t channels,
                          std::int64_t inner, float epsilon, const float* x, const float* gamma,
                          const float* beta, const float* mean, const float* var, float* y) {
  const std::int64_t size = outer * channels * inner;
  launch("queue a batch normalisation", inference, blocks_for(q, (size + kPer - 1) / kPer), q, size,
         channels, inner, epsilon, aligned16(x, y), x, gamma, beta, mean, var, y);
}

} // namespace mlp::kernels::cuda
