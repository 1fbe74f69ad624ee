// Dead nodes and constant folding; the fusions are in fuse.cpp.
#include "backends/runtime/native/optimize.hpp"

#include "backends/runtime/native/operators.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

namespace mlp::native {

namespace {

bool all_constant(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
    return id == kAbsent || graph.values[at(id)].constant.has_value();
  });
}

Value copy_to(const Value& value, Memory& memory) {
  Value copy = memory.allocate(value.type, value.dims);
  if (value.type == Type::string)
    std::copy_n(value.data<std::string>(), value.count, copy.data<std::string>());
  else
    std::memcpy(copy.address, value.address, value.bytes());
  return copy;
}

// True if the node was computed and its outputs are constants now.
bool fold(Graph& graph, const Node& node, kernels::Device& device, Memory& constants,
          Memory& room) {
  const Kernel kernel = make_kernel(graph, node, device);
  std::vector<const Value*> inputs;
  for (const ValueId id : node.inputs)
    inputs.push_back(id == kAbsent ? nullptr : &*graph.values[at(id)].constant);
  const auto dying = std::make_unique<bool[]>(inputs.size() + 1);
  const auto wanted = std::make_unique<bool[]>(node.outputs.size() + 1);
  for (std::size_t i = 0; i < node.outputs.size(); ++i)
    wanted[i] = node.outputs[i] != kAbsent;
  std::vector<Value> outputs(node.outputs.size());
  try {
    Call call(room, inputs, {dying.get(), inputs.size()}, outputs, {wanted.get(), outputs.size()});
    kernel(call);
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (wanted[i] && !outputs[i].storage) return false;
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (wanted[i]) graph.values[at(node.outputs[i])].constant = copy_to(outputs[i], constants);
  } catch (const Error&) {
    return false;
  } catch (const kernels::Error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

} // namespace

void remove_dead_nodes(Graph& graph) {
  std::vector<bool> read(graph.values.size(), false);
  for (const GraphOutput& output : graph.outputs)
    read[at(output.value)] = true;
  std::vector<bool> alive(graph.nodes.size(), false);
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    alive[n] = std::any_of(node.outputs.begin(), node.outputs.end(),
                           [&](ValueId id) { return id != kAbsent && read[at(id)]; });
    for (const ValueId id : node.inputs)
      if (alive[n] && id != kAbsent) read[at(id)] = true;
  }
  std::size_t kept = 0;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    if (alive[n]) {
      if (kept != n) graph.nodes[kept] = std::move(graph.nodes[n]);
      ++kept;
    }
  graph.nodes.resize(kept);
}

void fold_constants(Graph& graph, kernels::Device& device, Memory& constants,
                    const Limits& limits) {
  Memory room(limits.folded_bytes);
  std::erase_if(graph.nodes, [&](const Node& node) {
    return all_constant(graph, node) && fold(graph, node, device, constants, room);
  });
}

void optimize_graph(Graph& graph, kernels::Device& device, Memory& constants,
                    const Limits& limits) {
  fold_constants(graph, device, constants, limits);
  fuse_nodes(graph, constants);
  fuse_layer_norm(graph);
}

} // namespace mlp::native
