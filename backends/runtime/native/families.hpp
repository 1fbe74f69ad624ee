// The families of operators, one file each.
#pragma once

#include "backends/runtime/native/operators.hpp"

#include <span>

namespace mlp::native {

std::span<const Operator> arithmetic_operators();
std::span<const Operator> cast_operators();
std::span<const Operator> compare_operators();
std::span<const Operator> constant_operators();
std::span<const Operator> conv_operators();
std::span<const Operator> gather_operators();
std::span<const Operator> label_operators();
std::span<const Operator> layout_operators();
std::span<const Operator> matmul_operators();
std::span<const Operator> normalization_operators();
std::span<const Operator> pad_operators();
std::span<const Operator> pool_operators();
std::span<const Operator> reduce_operators();
std::span<const Operator> shape_operators();
std::span<const Operator> softmax_operators();
std::span<const Operator> unary_operators();

} // namespace mlp::native
