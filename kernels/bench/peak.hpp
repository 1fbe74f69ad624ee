// The rate of fused multiply-adds of a CPU, in registers.
#pragma once

#include <cstdint>

namespace mlp::kernels::bench {

// Does `rounds` of them over as many sums as keep the units of any processor busy; two operations
// each are counted.
void multiply_adds(std::int64_t rounds);
double multiply_add_operations(std::int64_t rounds) noexcept;

} // namespace mlp::kernels::bench
