// Which nodes of a graph an accelerator takes. That is told from the types at load; shapes are
// known only when a request comes.
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "backends/runtime/native/operators.hpp"

#include <vector>

namespace mlp::native {

// What is known at load, by value.
struct Known {
  // undefined: not told, though it may be any.
  std::vector<Type> types;
  // Follows from small constants and from the shapes of the inputs alone. Computed on the host, so
  // that shapes are there when they are wanted; what is large is better moved where it is used.
  std::vector<bool> fixed;
};
[[nodiscard]] Known find_known(const Graph& graph);

// Whether all that a node computes is fixed.
[[nodiscard]] bool is_fixed(const Node& node, const Known& known);

[[nodiscard]] Place place_of(const Graph& graph, const Node& node, const Known& known);

} // namespace mlp::native
