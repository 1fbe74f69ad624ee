// Elementwise nodes as steps of one expression, which an accelerator runs in one pass.
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "backends/runtime/native/operators.hpp"
#include "backends/runtime/native/placement.hpp"

#include <optional>
#include <span>
#include <vector>

namespace mlp::native {

struct Compiled {
  Expression expression;
  std::vector<ValueId> inputs;
};

// The expression of `nodes`, in topological order, whose last one gives the result; the results of
// the others are read by them alone. What it computes with is float or int64: a Cast from the one
// to the other is its first or its last node, and bool is a number in both. Nothing if a node is
// not elementwise or of other types, or all together are too much for one expression.
[[nodiscard]] std::optional<Compiled>
compile_expression(const Graph& graph, std::span<const Node* const> nodes, const Known& known);

// The kernel of a node that has an expression.
[[nodiscard]] Kernel make_expression_kernel(const Node& node, kernels::Device& device);

} // namespace mlp::native
