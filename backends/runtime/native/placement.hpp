// Which nodes of a graph an accelerator takes. Accelerators compute float32 alone, so this is told
// from the types at load; shapes are known only when a request comes.
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "backends/runtime/native/operators.hpp"

#include <vector>

namespace mlp::native {

// By value: float32, whatever a request brings. A value may be float32 without being told here.
[[nodiscard]] std::vector<bool> find_floats(const Graph& graph);

[[nodiscard]] Place place_of(const Graph& graph, const Node& node, const std::vector<bool>& floats);

} // namespace mlp::native
