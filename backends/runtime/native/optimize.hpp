// Rewrites a graph so that less is computed when it runs. The results stay the same but for
// rounding.
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "backends/runtime/native/limits.hpp"

namespace mlp::kernels {
class Device;
}

namespace mlp::native {

// Drops nodes none of whose outputs is read.
void remove_dead_nodes(Graph& graph);

// Computes nodes whose inputs are all constant, unless that fails or takes too much memory (then
// they stay, and an error appears when they run). New constants are allocated from `constants`.
void fold_constants(Graph& graph, kernels::Device& device, Memory& constants, const Limits& limits);

// Recognises GELU as exporters write it; puts a bias, a batch normalisation and an activation into
// the Gemm, MatMul or Conv of constant float weights before it.
void fuse_nodes(Graph& graph, Memory& constants);

// Puts what an exporter wrote for a layer normalisation over the last axis into one node.
void fuse_layer_norm(Graph& graph);

// For an accelerator, after all else: puts elementwise nodes together, so that each lot becomes one
// node with an Expression; those that are fixed stay as they are. Throws what make_kernel() throws
// of a node.
void fuse_elementwise(Graph& graph, kernels::Device& host);

// All of the above but the last.
void optimize_graph(Graph& graph, kernels::Device& device, Memory& constants, const Limits& limits);

} // namespace mlp::native
