// Grows expressions from the last node backwards: a node joins the expression that alone reads its
// result, as long as the whole fits the device's machine.
#include "backends/runtime/native/expression.hpp"
#include "backends/runtime/native/optimize.hpp"
#include "backends/runtime/native/placement.hpp"

#include <algorithm>

namespace mlp::native {

namespace {

class ElementwiseFuser {
 public:
  ElementwiseFuser(Graph& graph, kernels::Device& host)
      : graph_(graph), host_(host), known_(find_known(graph)), uses_(graph) {}

  void run() {
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node)
      if (!taken(*node) && !is_fixed(*node, known_)) grow(*node);
  }

 private:
  // A node that is part of an expression gives nothing itself.
  static bool taken(const Node& node) {
    return std::ranges::all_of(node.outputs, [](ValueId id) { return id == kAbsent; });
  }

  std::optional<Compiled> compile(const std::vector<const Node*>& nodes) const {
    return compile_expression(graph_, nodes, known_);
  }

  // A node that `nodes` could take in: all that read its result are among them.
  const Node* candidate(const Compiled& compiled, const std::vector<const Node*>& nodes,
                        const std::vector<const Node*>& refused) const {
    const auto among = [](const std::vector<const Node*>& list, const Node* node) {
      return std::ranges::find(list, node) != list.end();
    };
    for (const ValueId id : compiled.inputs) {
      const Node* from = uses_.producer[at(id)];
      if (from == nullptr || uses_.is_output[at(id)] || among(refused, from) ||
          is_fixed(*from, known_))
        continue;
      if (std::ranges::all_of(uses_.readers[at(id)],
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
  Known known_;
  Uses uses_; // as it was before: what is grown takes nodes whole
};

} // namespace

void fuse_elementwise(Graph& graph, kernels::Device& host) {
  ElementwiseFuser(graph, host).run();
  remove_dead_nodes(graph);
}

} // namespace mlp::native
