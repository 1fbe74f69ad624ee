// Order and sanity of a graph: one producer a value, no cycles (Kahn 1962).
#include "backends/runtime/native/graph.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <utility>

namespace mlp::native {

std::string describe(const Graph& graph, const Node& node) {
  std::string name = node.name;
  for (std::size_t i = 0; name.empty() && i < node.outputs.size(); ++i)
    if (node.outputs[i] != kAbsent)
      name = graph.values[static_cast<std::size_t>(node.outputs[i])].name;
  return fmt::format("node '{}' ({})", printable(name), printable(node.op));
}

ValueId Graph::add_value(std::string name) {
  values.push_back({std::move(name), std::nullopt});
  return static_cast<ValueId>(values.size() - 1);
}

namespace {

constexpr int kNobody = -1;
constexpr int kGiven = -2; // an input of the graph or a constant

std::vector<int> producers(const Graph& graph) {
  std::vector<int> producer(graph.values.size(), kNobody);
  const auto claim = [&](ValueId id, int who) {
    int& owner = producer[static_cast<std::size_t>(id)];
    if (owner != kNobody)
      throw Error(ErrorKind::config,
                  fmt::format("value '{}' is produced twice",
                              printable(graph.values[static_cast<std::size_t>(id)].name)));
    owner = who;
  };
  for (const ValueId id : graph.inputs)
    claim(id, kGiven);
  for (std::size_t i = 0; i < graph.values.size(); ++i)
    if (graph.values[i].constant) claim(static_cast<ValueId>(i), kGiven);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    for (const ValueId id : graph.nodes[n].outputs)
      if (id != kAbsent) claim(id, static_cast<int>(n));
  return producer;
}

} // namespace

void sort_nodes(Graph& graph) {
  const std::vector<int> producer = producers(graph);
  const std::size_t count = graph.nodes.size();
  std::vector<std::vector<std::size_t>> consumers(count);
  std::vector<std::size_t> waiting(count, 0);
  for (std::size_t n = 0; n < count; ++n)
    for (const ValueId id : graph.nodes[n].inputs) {
      if (id == kAbsent) continue;
      const int from = producer[static_cast<std::size_t>(id)];
      if (from == kNobody)
        throw Error(ErrorKind::config,
                    fmt::format("{} reads '{}', which nothing produces",
                                describe(graph, graph.nodes[n]),
                                printable(graph.values[static_cast<std::size_t>(id)].name)));
      if (from == kGiven) continue;
      consumers[static_cast<std::size_t>(from)].push_back(n);
      ++waiting[n];
    }
  for (const GraphOutput& output : graph.outputs)
    if (producer[static_cast<std::size_t>(output.value)] == kNobody)
      throw Error(ErrorKind::config,
                  fmt::format("output '{}' is not produced by any node", printable(output.name)));

  std::vector<std::size_t> order;
  order.reserve(count);
  for (std::size_t n = 0; n < count; ++n)
    if (waiting[n] == 0) order.push_back(n);
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const std::size_t next : consumers[order[i]])
      if (--waiting[next] == 0) order.push_back(next);
  if (order.size() != count) {
    std::size_t stuck = 0;
    while (waiting[stuck] == 0)
      ++stuck;
    throw Error(ErrorKind::config, fmt::format("the nodes form a cycle through {}",
                                               describe(graph, graph.nodes[stuck])));
  }
  std::vector<Node> sorted;
  sorted.reserve(count);
  for (const std::size_t n : order)
    sorted.push_back(std::move(graph.nodes[n]));
  graph.nodes = std::move(sorted);
}

Uses::Uses(Graph& graph)
    : producer(graph.values.size(), nullptr), readers(graph.values.size()),
      is_output(graph.values.size(), false) {
  for (Node& node : graph.nodes) {
    for (const ValueId id : node.outputs)
      if (id != kAbsent) producer[at(id)] = &node;
    for (const ValueId id : node.inputs)
      if (id != kAbsent) readers[at(id)].push_back(&node);
  }
  for (const GraphOutput& output : graph.outputs)
    is_output[at(output.value)] = true;
}

} // namespace mlp::native
