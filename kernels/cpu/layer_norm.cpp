// Layer normalisation, a row at a time: its sums are taken over columns side by side, so that
// they are vector code, and the row is in the first cache the second and third time.
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/ops.hpp"

#include <algorithm>
#include <cmath>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 13; // elements that are worth a thread
constexpr std::int64_t kLanes = 16;      // columns that are summed side by side
constexpr std::int64_t kChunk = 1024;    // columns whose sum is float, then added to a double

// The sum of f(x[i]).
template <class F>
MLP_INLINE double sum_of(std::int64_t n, const float* x, const F& f) {
  double total = 0.0;
  for (std::int64_t start = 0; start < n; start += kChunk) {
    const std::int64_t end = std::min(n, start + kChunk);
    float sums[kLanes] = {};
    std::int64_t i = start;
    for (; i + kLanes <= end; i += kLanes)
      for (std::int64_t k = 0; k < kLanes; ++k)
        sums[k] += f(x[i + k]);
    for (; i < end; ++i)
      sums[0] += f(x[i]);
    for (const float sum : sums)
      total += static_cast<double>(sum);
  }
  return total;
}

MLP_INLINE void normalize_row_body(std::int64_t n, float epsilon, const float* x,
                                   const float* gamma, const float* beta, float* y) {
  const auto count = static_cast<double>(n);
  const auto mean =
      static_cast<float>(sum_of(
                             n, x, [](float v) __attribute__((always_inline)) { return v; }) /
                         count);
  const double squares = sum_of(
      n, x, [mean](float v) __attribute__((always_inline)) { return (v - mean) * (v - mean); });
  const auto inverse =
      static_cast<float>(1.0 / std::sqrt(squares / count + static_cast<double>(epsilon)));
  if (gamma != nullptr && beta != nullptr)
    for (std::int64_t i = 0; i < n; ++i)
      y[i] = (x[i] - mean) * inverse * gamma[i] + beta[i];
  else
    for (std::int64_t i = 0; i < n; ++i)
      y[i] = (x[i] - mean) * inverse * (gamma != nullptr ? gamma[i] : 1.0F) +
             (beta != nullptr ? beta[i] : 0.0F);
}
MLP_KERNEL(normalize_row,
           (std::int64_t n, float epsilon, const float* x, const float* gamma, const float* beta,
            float* y),
           (n, epsilon, x, gamma, beta, y))

} // namespace

void layer_norm(ThreadPool& pool, std::int64_t rows, std::int64_t cols, float epsilon,
                const float* x, const float* gamma, const float* beta, float* y) {
  pool.split(rows, 1, kLeast / cols + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      normalize_row(cols, epsilon, x + row * cols, gamma, beta, y + row * cols);
  });
}

} // namespace mlp::kernels::cpu
