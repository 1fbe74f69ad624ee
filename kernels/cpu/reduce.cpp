// Reductions over the middle axis of x[outer, count, inner], in double.
#include "kernels/cpu/ops.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 14; // elements that are worth a thread
constexpr std::int64_t kColumns = 256;   // folded side by side

struct Sum {
  static double start() { return 0.0; }
  static double add(double s, float x) { return s + static_cast<double>(x); }
};
struct AbsoluteSum : Sum {
  static double add(double s, float x) { return s + static_cast<double>(std::fabs(x)); }
};
struct SquareSum : Sum {
  static double add(double s, float x) {
    return s + static_cast<double>(x) * static_cast<double>(x);
  }
};
struct Product {
  static double start() { return 1.0; }
  static double add(double s, float x) { return s * static_cast<double>(x); }
};
struct Largest {
  static double start() { return -std::numeric_limits<double>::infinity(); }
  static double add(double s, float x) {
    const auto value = static_cast<double>(x);
    return s > value || s != s ? s : value;
  }
};
struct Smallest {
  static double start() { return std::numeric_limits<double>::infinity(); }
  static double add(double s, float x) {
    const auto value = static_cast<double>(x);
    return s < value || s != s ? s : value;
  }
};

float finished(const ReduceSpec& spec, double state) {
  if (spec.kind == Reduce::mean) state /= static_cast<double>(spec.count);
  if (spec.kind == Reduce::norm) state = std::sqrt(state);
  if (spec.kind == Reduce::log_sum) state = std::log(state);
  return static_cast<float>(state);
}

// Columns [first, first + n) of one outer index, n <= kColumns.
template <class Op>
void fold_columns(const ReduceSpec& s, const float* x, std::int64_t n, float* y) {
  double states[kColumns];
  std::fill_n(states, n, Op::start());
  for (std::int64_t i = 0; i < s.count; ++i, x += s.inner)
    for (std::int64_t c = 0; c < n; ++c)
      states[c] = Op::add(states[c], x[c]);
  for (std::int64_t c = 0; c < n; ++c)
    y[c] = finished(s, states[c]);
}

template <class Op>
void reduce_with(ThreadPool& pool, const ReduceSpec& s, const float* x, float* y) {
  const std::int64_t chunks = (s.inner + kColumns - 1) / kColumns;
  const std::int64_t work = std::max<std::int64_t>(s.count, 1) * std::min(s.inner, kColumns);
  pool.split(s.outer * chunks, 1, kLeast / work + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t job = begin; job < end; ++job) {
      const std::int64_t o = job / chunks;
      const std::int64_t first = job % chunks * kColumns;
      fold_columns<Op>(s, x + o * s.count * s.inner + first, std::min(kColumns, s.inner - first),
                       y + o * s.inner + first);
    }
  });
}

} // namespace

void reduce(ThreadPool& pool, const ReduceSpec& spec, const float* x, float* y) {
  switch (spec.kind) {
  case Reduce::sum:
  case Reduce::mean:
  case Reduce::log_sum:
    return reduce_with<Sum>(pool, spec, x, y);
  case Reduce::absolute_sum:
    return reduce_with<AbsoluteSum>(pool, spec, x, y);
  case Reduce::square_sum:
  case Reduce::norm:
    return reduce_with<SquareSum>(pool, spec, x, y);
  case Reduce::product:
    return reduce_with<Product>(pool, spec, x, y);
  case Reduce::largest:
    return reduce_with<Largest>(pool, spec, x, y);
  case Reduce::smallest:
    return reduce_with<Smallest>(pool, spec, x, y);
  }
}

} // namespace mlp::kernels::cpu
