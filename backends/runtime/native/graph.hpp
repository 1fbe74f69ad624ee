// A model as a list of nodes over numbered values: what the file said after it was checked, and
// what the optimiser rewrites. Nothing here knows protobuf.
#pragma once

#include "backends/runtime/native/value.hpp"
#include "core/model/tensor.hpp"
#include "kernels/expression.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mlp::native {

// monostate: an attribute of a kind that no operator here takes (a graph, a sparse tensor).
using Attribute =
    std::variant<std::monostate, std::int64_t, float, std::string, Value, std::vector<std::int64_t>,
                 std::vector<float>, std::vector<std::string>>;

using ValueId = std::int32_t;
inline constexpr ValueId kAbsent = -1; // an optional input or output that is left out
// Where a value stands in what has an element for each.
[[nodiscard]] inline std::size_t at(ValueId id) noexcept {
  return static_cast<std::size_t>(id);
}

enum class FusedActivation : std::uint8_t { none, relu, gelu, tanh, sigmoid };

// Elementwise nodes that an accelerator computes in one pass over the node's inputs.
struct Expression {
  std::vector<kernels::ElementStep> steps;
  Type result = Type::f32;
  bool integers = false;        // computed as int64, else as float
  std::size_t least_rank = 0;   // of the result: what numbers that became part of steps had
  std::vector<std::string> ops; // for people
};

struct Node {
  std::string name;   // as in the file; may be empty
  std::string domain; // "" is ONNX's own
  std::string op;
  int opset = 0; // version of its domain that the model imports
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::map<std::string, Attribute, std::less<>> attributes;
  // Set by the optimiser: an activation on output 0, and a bias as an input the operator lacks.
  FusedActivation activation = FusedActivation::none;
  bool fused_bias = false;
  bool fused_parts = false; // a LayerNormalization that was written as the operators it is made of
  std::shared_ptr<const Expression> expression; // set by fuse_elementwise()
};

// "node 'conv1' (Conv)", or by its first output's name when it has none.
struct Graph;
[[nodiscard]] std::string describe(const Graph& graph, const Node& node);

struct GraphValue {
  std::string name;
  std::optional<Value> constant;
};

struct GraphOutput {
  ValueId value = kAbsent;
  std::string name;
};

struct Graph {
  std::vector<GraphValue> values;
  std::vector<Node> nodes; // in topological order once sort_nodes() has run
  std::vector<ValueId> inputs;
  // As in the file: the signature has no word for all types.
  std::vector<Type> input_types, output_types;
  std::vector<GraphOutput> outputs;
  model::Signature signature; // in the order of inputs and outputs

  ValueId add_value(std::string name);
};

// Who makes each value and who reads it. Whoever changes the graph keeps it up.
struct Uses {
  explicit Uses(Graph& graph);
  std::vector<Node*> producer;             // null: an input or a constant
  std::vector<std::vector<Node*>> readers; // once for each input that reads it
  std::vector<bool> is_output;             // of the graph
};

// Checks that every value has one producer and every input exists, and orders the nodes.
// Throws Error(config) naming the value, or a node of the cycle.
void sort_nodes(Graph& graph);

} // namespace mlp::native
