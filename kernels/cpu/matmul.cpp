// Matrix products: oneDNN's sgemm in one thread for each part of C, then bias and activation while
// the part is in cache. C is cut along its longer side, or over the batch.
#include "kernels/cpu/dnnl.hpp"
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/ops.hpp"

#include <atomic>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kGrain = 16;          // columns or rows that a part holds a multiple of
constexpr std::int64_t kLeastWork = 1 << 17; // multiply-adds that are worth a thread

MLP_INLINE void add_bias_body(std::int64_t n, const float* __restrict bias, float* __restrict row) {
  for (std::int64_t i = 0; i < n; ++i)
    row[i] += bias[i];
}
MLP_KERNEL(add_bias, (std::int64_t n, const float* bias, float* row), (n, bias, row))

MLP_INLINE void scale_body(std::int64_t n, float beta, float* row) {
  for (std::int64_t i = 0; i < n; ++i)
    row[i] = beta == 0.0F ? 0.0F : row[i] * beta;
}
MLP_KERNEL(scale, (std::int64_t n, float beta, float* row), (n, beta, row))

class Matmul final : public MatmulPlan {
 public:
  Matmul(ThreadPool& pool, const MatmulSpec& spec) : pool_(pool), library_(dnnl()), spec_(spec) {
    if (spec_.lda == 0) spec_.lda = spec.transpose_a ? spec.m : spec.k;
    if (spec_.ldb == 0) spec_.ldb = spec.transpose_b ? spec.k : spec.n;
    if (spec_.ldc == 0) spec_.ldc = spec.n;
    const std::int64_t work = spec.m * spec.n * std::max<std::int64_t>(spec.k, 1);
    if (spec.batch > 1) {
      over_batch_ = spec.batch >= pool.size() || work < kLeastWork;
      parts_ =
          over_batch_ ? pool.parts(spec.batch * work, kLeastWork) : pool.parts(work, kLeastWork);
    } else {
      parts_ = pool.parts(work, kLeastWork);
    }
  }

  std::size_t workspace_bytes() const noexcept override { return 0; }

  void run(Stream, const void* a, const void* b, const void* bias, void* c, void*) const override {
    const auto* a_data = static_cast<const float*>(a);
    const auto* b_data = static_cast<const float*>(b);
    const auto* bias_data = spec_.bias ? static_cast<const float*>(bias) : nullptr;
    auto* c_data = static_cast<float*>(c);
    std::atomic<int> status = dnnl_success;
    const auto product = [&](std::int64_t i, Tile tile) {
      const int result = multiply(a_data + i * spec_.stride_a, b_data + i * spec_.stride_b,
                                  bias_data, c_data + i * spec_.stride_c, tile);
      if (result != dnnl_success) status.store(result, std::memory_order_relaxed);
    };
    const Tile whole{0, spec_.m, 0, spec_.n};
    if (over_batch_) {
      pool_.run(parts_, [&](int part) {
        const OneThread one(library_);
        const auto [begin, end] = ThreadPool::range(spec_.batch, 1, parts_, part);
        for (std::int64_t i = begin; i < end; ++i)
          product(i, whole);
      });
    } else {
      pool_.run(parts_, [&](int part) {
        const OneThread one(library_);
        Tile tile = whole;
        const bool by_rows = spec_.m >= spec_.n;
        const auto [begin, end] =
            ThreadPool::range(by_rows ? spec_.m : spec_.n, kGrain, parts_, part);
        (by_rows ? tile.m0 : tile.n0) = begin;
        (by_rows ? tile.m1 : tile.n1) = end;
        if (begin >= end) return;
        for (std::int64_t i = 0; i < spec_.batch; ++i)
          product(i, tile);
      });
    }
    check(static_cast<dnnl_status_t>(status.load(std::memory_order_relaxed)), "multiply matrices");
  }

 private:
  struct Tile {
    std::int64_t m0, m1, n0, n1;
  };

  int multiply(const float* a, const float* b, const float* bias, float* c,
               Tile tile) const noexcept {
    const std::int64_t m = tile.m1 - tile.m0;
    const std::int64_t n = tile.n1 - tile.n0;
    if (m <= 0 || n <= 0) return dnnl_success;
    a += spec_.transpose_a ? tile.m0 : tile.m0 * spec_.lda;
    b += spec_.transpose_b ? tile.n0 * spec_.ldb : tile.n0;
    c += tile.m0 * spec_.ldc + tile.n0;
    if (spec_.k > 0) {
      const dnnl_status_t status = library_.sgemm(
          spec_.transpose_a ? 'T' : 'N', spec_.transpose_b ? 'T' : 'N', m, n, spec_.k, spec_.alpha,
          a, spec_.lda, b, spec_.ldb, spec_.beta, c, spec_.ldc);
      if (status != dnnl_success) return status;
    } else {
      for (std::int64_t row = 0; row < m; ++row)
        scale(n, spec_.beta, c + row * spec_.ldc);
    }
    if (bias == nullptr && spec_.activation == Activation::none) return dnnl_success;
    for (std::int64_t row = 0; row < m; ++row) {
      float* at = c + row * spec_.ldc;
      if (bias != nullptr) add_bias(n, bias + tile.n0, at);
      apply_activation(spec_.activation, n, at, at);
    }
    return dnnl_success;
  }

  ThreadPool& pool_;
  const Dnnl& library_;
  MatmulSpec spec_;
  bool over_batch_ = false;
  int parts_ = 1;
};

} // namespace

std::unique_ptr<MatmulPlan> plan_matmul(ThreadPool& pool, const MatmulSpec& spec) {
  return std::make_unique<Matmul>(pool, spec);
}

} // namespace mlp::kernels::cpu
