// Grows expressions from the last node backwards: a node joins the expression that alone reads its
// result, as long as the whole fits the device's machine.
#include "backends/runtime/native/expression.hpp"
#include "backends/runtime/native/optimize.hpp"
#include "backends/runtime/native/placement.hpp"

#include <algorithm>

namespace mlp::native {

namespace {

std::size_t at(ValueId id) {
  return static_cast<std::size_t>(id);
}

class ElementwiseFuser {
 public:
  ElementwiseFuser(Graph& graph, kernels::Device& host)
      : graph_(graph), host_(host), floats_(find_floats(graph)),
        producer_(graph.values.size(), nullptr), readers_(graph.values.size()),
        is_output_(graph.values.size(), false) {
    for (const Node& node : graph_.nodes) {
      for (const ValueId id : node.outputs)
        if (id != kAbsent) producer_[at(id)] = &node;
      for (const ValueId id : node.inputs)
        if (id != kAbsent) readers_[at(id)].push_back(&node);
    }
    for (const GraphOutput& output : graph_.outputs)
      is_output_[at(output.value)] = true;
  }

  void run() {
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node)
      if (!taken(*node)) grow(*node);
  }

 private:
  // A node that is part of an expression gives nothing itself.
  static bool taken(const Node& node) {
    return std::ranges::all_of(node.outputs, [](ValueId id) { return id == kAbsent; });
  }

  std::optional<Compiled> compile(const std::vector<const Node*>& nodes) const {
    return compile_expression(graph_, nodes, producer_, floats_);
  }

  // A node that `nodes` could take in: all that read its result are among them.
  const Node* candidate(const Compiled& compiled, const std::vector<const Node*>& nodes,
                        const std::vector<const Node*>& refused) const {
    const auto among = [](const std::vector<const Node*>& list, const Node* node) {
      return std::ranges::find(list, node) != list.end();
    };
    for (const ValueId id : compiled.inputs) {
      const Node* from = producer_[at(id)];
      if (from == nullptr || is_output_[at(id)] || among(refused, from)) continue;
      if (std::ranges::all_of(readers_[at(id)],
                              [&](const Node* reader) { return among(nodes, reader); }))
        return from;
    }
    return nullptr;
  }

  void grow(Node& last) {
    std::vector<const Node*> nodes{&last};
    auto compiled = compile(nodes);
    if (!compiled) return;
    std::vector<const Node*> refused;
    while (const Node* next = candidate(*compiled, nodes, refused)) {
      std::vector<const Node*> more = nodes;
      more.insert(std::ranges::upper_bound(more, next), next); // addresses are in graph order
      auto larger = compile(more);
      if (larger) {
        nodes = std::move(more);
        compiled = std::move(larger);
      } else {
        refused.push_back(next);
      }
    }
    for (const Node* node : nodes) // what is wrong with a node is said as ever
      static_cast<void>(make_kernel(graph_, *node, host_));
    for (const Node* node : nodes)
      if (node != &last) graph_.nodes[index_of(*node)].outputs.assign(1, kAbsent);
    last.inputs = std::move(compiled->inputs);
    last.attributes.clear();
    last.expression = std::make_shared<const Expression>(std::move(compiled->expression));
  }

  std::size_t index_of(const Node& node) const {
    return static_cast<std::size_t>(&node - graph_.nodes.data());
  }

  Graph& graph_;
  kernels::Device& host_;
  std::vector<bool> floats_;
  std::vector<const Node*> producer_;             // by value
  std::vector<std::vector<const Node*>> readers_; // by value
  std::vector<bool> is_output_;
};

} // namespace

void fuse_elementwise(Graph& graph, kernels::Device& host) {
  ElementwiseFuser(graph, host).run();
  remove_dead_nodes(graph);
}

} // namespace mlp::native
