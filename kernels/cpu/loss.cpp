// Losses with their gradients, and softmax. Rows are independent; what is added up over them is
// summed in float64, a part at a time, then over the parts in order.
#include "kernels/cpu/math.hpp"
#include "kernels/cpu/ops.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 12; // elements that are worth a thread
constexpr int kMaxParts = 64;

// out[i] = e^(x[i] - shift).
MLP_INLINE void exp_row_body(std::int64_t n, float shift, const float* x, float* out) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = exp_f32(x[i] - shift);
}
MLP_KERNEL(exp_row, (std::int64_t n, float shift, const float* x, float* out), (n, shift, x, out))

// Sums and maxima keep kWide of them, so that the loop has no chain and the order is fixed.
constexpr std::int64_t kWide = 32;

MLP_INLINE void sum_row_body(std::int64_t n, const float* x, double* result) {
  double sum = 0.0;
  std::int64_t i = 0;
  if (n >= kWide) {
    double sums[kWide] = {};
    for (; i + kWide <= n; i += kWide)
      for (std::int64_t k = 0; k < kWide; ++k)
        sums[k] += static_cast<double>(x[i + k]);
    for (std::int64_t k = 0; k < kWide; ++k)
      sum += sums[k];
  }
  for (; i < n; ++i)
    sum += static_cast<double>(x[i]);
  *result = sum;
}
MLP_KERNEL(sum_row, (std::int64_t n, const float* x, double* result), (n, x, result))

MLP_INLINE void max_row_body(std::int64_t n, const float* x, float* result) {
  float top = x[0];
  std::int64_t i = 0;
  if (n >= kWide) {
    float tops[kWide];
    for (std::int64_t k = 0; k < kWide; ++k)
      tops[k] = x[k];
    for (; i + kWide <= n; i += kWide)
      for (std::int64_t k = 0; k < kWide; ++k)
        tops[k] = x[i + k] > tops[k] ? x[i + k] : tops[k];
    for (std::int64_t k = 0; k < kWide; ++k)
      top = tops[k] > top ? tops[k] : top;
  }
  for (; i < n; ++i)
    top = x[i] > top ? x[i] : top;
  *result = top;
}
MLP_KERNEL(max_row, (std::int64_t n, const float* x, float* result), (n, x, result))

float largest(std::int64_t n, const float* x) noexcept {
  float top = 0.0F;
  max_row(n, x, &top);
  return top;
}

double sum_of(std::int64_t n, const float* x) noexcept {
  double sum = 0.0;
  sum_row(n, x, &sum);
  return sum;
}

// body(first row, last row) -> LossStats, added up in order.
template <class Body>
void over_rows(ThreadPool& pool, std::int64_t rows, std::int64_t cols, LossStats* stats,
               const Body& body) {
  std::array<LossStats, kMaxParts> partial;
  const int parts = std::min(pool.parts(rows * cols, kLeast), kMaxParts);
  pool.run(parts, [&](int part) {
    const auto [begin, end] = ThreadPool::range(rows, 1, parts, part);
    partial[static_cast<std::size_t>(part)] = body(begin, end);
  });
  if (stats == nullptr) return;
  for (int part = 0; part < parts; ++part) {
    const LossStats& p = partial[static_cast<std::size_t>(part)];
    stats->loss += p.loss;
    stats->weight += p.weight;
    stats->correct += p.correct;
    stats->rows += p.rows;
  }
}

// d = prediction - target; loss and slope of one element.
template <class Element>
void elementwise(ThreadPool& pool, std::int64_t rows, std::int64_t cols, const float* prediction,
                 const float* target, float* gradient, LossStats* stats, const Element& element) {
  const float share = 1.0F / static_cast<float>(rows * cols);
  over_rows(pool, rows, cols, stats, [&](std::int64_t begin, std::int64_t end) {
    LossStats s;
    for (std::int64_t i = begin * cols; i < end * cols; ++i) {
      const auto [loss, slope] = element(prediction[i] - target[i]);
      s.loss += static_cast<double>(loss);
      if (gradient != nullptr) gradient[i] = slope * share;
    }
    s.rows = static_cast<double>(end - begin);
    s.weight = s.rows * static_cast<double>(cols);
    return s;
  });
}

struct LossAndSlope {
  float loss, slope;
};

} // namespace

void softmax_cross_entropy(ThreadPool& pool, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels,
                           const float* class_weights, float* gradient, LossStats* stats) {
  double total = static_cast<double>(rows);
  if (class_weights != nullptr) {
    total = 0.0;
    for (std::int64_t r = 0; r < rows; ++r)
      total += static_cast<double>(class_weights[labels[r]]);
  }
  over_rows(pool, rows, classes, stats, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kTile = 256; // exponentials kept when there is no gradient to hold them
    float tile[kTile];
    LossStats s;
    for (std::int64_t r = begin; r < end; ++r) {
      const float* x = logits + r * classes;
      const std::int32_t label = labels[r];
      const float shift = largest(classes, x);
      const float own = x[label];
      // The first of equal logits is the prediction; most rows need no look.
      const bool correct = own == shift && std::find(x, x + label, shift) == x + label;
      const float weight = class_weights != nullptr ? class_weights[label] : 1.0F;
      double sum = 0.0;
      if (gradient != nullptr) {
        float* g = gradient + r * classes; // may be x
        exp_row(classes, shift, x, g);
        sum = sum_of(classes, g);
        const auto factor = static_cast<float>(static_cast<double>(weight) / (sum * total));
        for (std::int64_t c = 0; c < classes; ++c)
          g[c] *= factor;
        g[label] -= static_cast<float>(static_cast<double>(weight) / total);
      } else {
        for (std::int64_t c = 0; c < classes; c += kTile) {
          const std::int64_t n = std::min(kTile, classes - c);
          exp_row(n, shift, x + c, tile);
          sum += sum_of(n, tile);
        }
      }
      const double loss = std::log(sum) + static_cast<double>(shift) - static_cast<double>(own);
      s.loss += static_cast<double>(weight) * loss;
      s.weight += static_cast<double>(weight);
      s.correct += correct ? 1.0 : 0.0;
    }
    s.rows = static_cast<double>(end - begin);
    return s;
  });
}

void softmax(ThreadPool& pool, std::int64_t rows, std::int64_t cols, const float* x, float* y) {
  pool.split(rows, 1, kLeast / cols + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const float* in = x + r * cols;
      float* out = y + r * cols;
      exp_row(cols, largest(cols, in), in, out);
      const auto inverse = static_cast<float>(1.0 / sum_of(cols, out));
      for (std::int64_t c = 0; c < cols; ++c)
        out[c] *= inverse;
    }
  });
}

void squared_error(ThreadPool& pool, std::int64_t rows, std::int64_t cols, const float* prediction,
                   const float* target, float* gradient, LossStats* stats) {
  elementwise(pool, rows, cols, prediction, target, gradient, stats, [](float d) {
    return LossAndSlope{d * d, 2.0F * d};
  });
}

void huber(ThreadPool& pool, std::int64_t rows, std::int64_t cols, float delta,
           const float* prediction, const float* target, float* gradient, LossStats* stats) {
  elementwise(pool, rows, cols, prediction, target, gradient, stats, [delta](float d) {
    const float a = std::fabs(d);
    // Written so that a NaN stays one.
    if (a > delta) return LossAndSlope{delta * (a - 0.5F * delta), d > 0.0F ? delta : -delta};
    return LossAndSlope{0.5F * d * d, d};
  });
}

} // namespace mlp::kernels::cpu
