// Elementwise nodes as steps of one expression, which an accelerator runs in one pass.
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "backends/runtime/native/operators.hpp"

#include <optional>
#include <span>
#include <vector>

namespace mlp::native {

struct Compiled {
  Expression expression;
  std::vector<ValueId> inputs;
};

// The expression of `nodes`, in topological order, whose last one gives the result; the results of
// the others are read by them alone. All inputs are float. `producers` are the nodes of the graph
// by the value that they give (null: none): a comparison that a Where reads becomes part of it.
// Nothing if a node is not elementwise, or all together are too much for one expression.
[[nodiscard]] std::optional<Compiled> compile_expression(const Graph& graph,
                                                         std::span<const Node* const> nodes,
                                                         std::span<const Node* const> producers,
                                                         const std::vector<bool>& floats);

// The kernel of a node that has an expression.
[[nodiscard]] Kernel make_expression_kernel(const Node& node, kernels::Device& device);

} // namespace mlp::native
