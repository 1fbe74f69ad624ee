// Types follow the nodes from the inputs and the constants on.
#include "backends/runtime/native/placement.hpp"

#include <algorithm>
#include <string_view>

namespace mlp::native {

namespace {

// Operators of ai.onnx whose output 0 has the type of input 0.
constexpr std::string_view kKeepType[] = {
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "Conv",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "Transpose",
    "Unsqueeze",
};
static_assert(std::ranges::is_sorted(kKeepType));

bool is_float_input(const Node& node, std::size_t i, const std::vector<bool>& floats) {
  return i < node.inputs.size() && node.inputs[i] != kAbsent && floats[at(node.inputs[i])];
}

bool gives_float(const Node& node, const std::vector<bool>& floats) {
  if (!node.domain.empty()) return false;
  if (node.op == "Where") return is_float_input(node, 1, floats);
  if (node.op == "Cast") {
    const auto to = node.attributes.find("to");
    const auto* type =
        to == node.attributes.end() ? nullptr : std::get_if<std::int64_t>(&to->second);
    return type != nullptr && *type == static_cast<std::int64_t>(Type::f32);
  }
  return std::ranges::binary_search(kKeepType, std::string_view(node.op)) &&
         is_float_input(node, 0, floats);
}

bool all_float(const Node& node, const std::vector<bool>& floats) {
  return std::ranges::all_of(node.inputs,
                             [&](ValueId id) { return id == kAbsent || floats[at(id)]; });
}

bool one_output(const Node& node) {
  return !node.outputs.empty() && node.outputs[0] != kAbsent &&
         std::all_of(node.outputs.begin() + 1, node.outputs.end(),
                     [](ValueId id) { return id == kAbsent; });
}

bool trains(const Node& node) {
  const auto mode = node.attributes.find("training_mode");
  if (mode == node.attributes.end()) return false;
  const auto* value = std::get_if<std::int64_t>(&mode->second);
  return value == nullptr || *value != 0;
}

} // namespace

std::vector<bool> find_floats(const Graph& graph) {
  std::vector<bool> floats(graph.values.size(), false);
  for (std::size_t i = 0; i < graph.inputs.size(); ++i)
    floats[at(graph.inputs[i])] = graph.input_types[i] == Type::f32;
  for (std::size_t i = 0; i < graph.values.size(); ++i)
    if (const auto& constant = graph.values[i].constant) floats[i] = constant->type == Type::f32;
  for (const Node& node : graph.nodes) {
    if (node.outputs.empty() || !gives_float(node, floats)) continue;
    const std::size_t count = node.op == "Split" ? node.outputs.size() : 1;
    for (std::size_t i = 0; i < count; ++i)
      if (node.outputs[i] != kAbsent) floats[at(node.outputs[i])] = true;
  }
  return floats;
}

Place place_of(const Graph& graph, const Node& node, const std::vector<bool>& floats) {
  if (node.expression != nullptr) return Place::device;
  const Place place = require_operator(graph, node).place;
  switch (place) {
  case Place::host:
  case Place::shape:
    return place;
  case Place::view: // Dropout that may train draws a mask
    return is_float_input(node, 0, floats) && !(node.op == "Dropout" && node.inputs.size() > 2)
               ? place
               : Place::host;
  case Place::moves:
    return is_float_input(node, 0, floats) ? place : Place::host;
  case Place::device:
    return all_float(node, floats) && one_output(node) && !trains(node) ? place : Place::host;
  }
  return Place::host;
}

} // namespace mlp::native
