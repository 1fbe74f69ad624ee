// Multiply-adds that do not leave the registers: what no product on a CPU is faster than.
#include "kernels/bench/peak.hpp"

#include "kernels/cpu/kernel.hpp"

#include <cstring>

namespace mlp::kernels::bench {

namespace {

constexpr std::int64_t kChains = 12; // independent sums: enough for two units of latency four
constexpr std::int64_t kLanes = 8;

MLP_INLINE void multiply_add_body(std::int64_t rounds, float* sums) {
  float a[kChains * kLanes];
  std::memcpy(a, sums, sizeof a);
  for (std::int64_t r = 0; r < rounds; ++r)
    for (std::int64_t i = 0; i < kChains * kLanes; ++i)
      a[i] = a[i] * 0.999F + 0.001F;
  std::memcpy(sums, a, sizeof a);
}
MLP_KERNEL(multiply_add, (std::int64_t rounds, float* sums), (rounds, sums))

} // namespace

void multiply_adds(std::int64_t rounds) {
  float sums[kChains * kLanes] = {};
  multiply_add(rounds, sums);
  volatile float keep = sums[0];
  static_cast<void>(keep);
}

double multiply_add_operations(std::int64_t rounds) noexcept {
  return 2.0 * static_cast<double>(rounds * kChains * kLanes);
}

} // namespace mlp::kernels::bench
