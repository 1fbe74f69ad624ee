// Types follow the nodes from the inputs and the constants on.
#include "backends/runtime/native/placement.hpp"

#include <algorithm>
#include <string_view>

namespace mlp::native {

namespace {

// Operators of ai.onnx whose output 0 has the type of input 0.
constexpr std::string_view kKeepType[] = {
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "AveragePool",
    "BatchNormalization",
    "Ceil",
    "Celu",
    "Clip",
    "Compress",
    "Concat",
    "Conv",
    "Cos",
    "Cosh",
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
    "Hardmax",
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
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "Range",
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
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
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
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Xor",
};
static_assert(std::ranges::is_sorted(kKeepType));

constexpr std::string_view kGiveBool[] = {
    "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual",
};
constexpr std::string_view kGiveInt64[] = {"ArgMax", "ArgMin", "NonZero", "Shape", "Size"};

template <std::size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::ranges::binary_search(names, name);
}

Type input_type(const Node& node, std::size_t i, const std::vector<Type>& types) {
  return i < node.inputs.size() && node.inputs[i] != kAbsent ? types[at(node.inputs[i])]
                                                             : Type::undefined;
}

Type cast_type(const Node& node) {
  const auto to = node.attributes.find("to");
  const auto* number =
      to == node.attributes.end() ? nullptr : std::get_if<std::int64_t>(&to->second);
  if (number == nullptr || *number < 0 || *number > 255) return Type::undefined;
  return type_from_onnx(static_cast<int>(*number)).value_or(Type::undefined);
}

Type filled_type(const Node& node) { // ConstantOfShape
  const auto value = node.attributes.find("value");
  if (value == node.attributes.end()) return Type::f32;
  const auto* tensor = std::get_if<Value>(&value->second);
  return tensor != nullptr ? tensor->type : Type::undefined;
}

Type output_type(const Node& node, const std::vector<Type>& types) {
  if (node.expression != nullptr) return node.expression->result;
  if (!node.domain.empty()) return Type::undefined;
  if (node.op == "Where") return input_type(node, 1, types);
  if (node.op == "Cast") return cast_type(node);
  if (node.op == "CastLike") return input_type(node, 1, types);
  if (node.op == "OneHot") return input_type(node, 2, types);
  if (node.op == "ConstantOfShape") return filled_type(node);
  if (among(kGiveBool, node.op)) return Type::boolean;
  if (among(kGiveInt64, node.op)) return Type::i64;
  return among(kKeepType, node.op) ? input_type(node, 0, types) : Type::undefined;
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

bool can_move(Type type) {
  return type != Type::undefined && type != Type::string;
}

// Whether the accelerator's kernel of an operator takes input `i` as it is.
bool takes_input(const Operator& op, const Node& node, std::size_t i, const Known& known) {
  const Type type = input_type(node, i, known.types);
  if (op.moves == Moves::floats) return type == Type::f32;
  if (op.moves == Moves::indices || (op.moves == Moves::by_index && i == 1))
    return type == Type::i64 || type == Type::i32;
  return can_move(type);
}

bool takes_all(const Operator& op, const Node& node, const Known& known) {
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    if (node.inputs[i] != kAbsent && !takes_input(op, node, i, known)) return false;
  return true;
}

// Pads that repeat elements.
bool pads_with_elements(const Node& node) {
  const auto mode = node.attributes.find("mode");
  if (node.op != "Pad" || mode == node.attributes.end()) return false;
  const auto* name = std::get_if<std::string>(&mode->second);
  return name == nullptr || *name != "constant";
}

} // namespace

bool is_fixed(const Node& node, const Known& known) {
  return std::ranges::all_of(node.inputs,
                             [&](ValueId id) { return id == kAbsent || known.fixed[at(id)]; });
}

Known find_known(const Graph& graph) {
  constexpr std::int64_t kMostFixed = 1 << 16; // elements; shapes, axes and tables are smaller
  Known known{std::vector<Type>(graph.values.size(), Type::undefined),
              std::vector<bool>(graph.values.size(), false)};
  for (std::size_t i = 0; i < graph.inputs.size(); ++i)
    known.types[at(graph.inputs[i])] = graph.input_types[i];
  for (std::size_t i = 0; i < graph.values.size(); ++i)
    if (const auto& constant = graph.values[i].constant) {
      known.types[i] = constant->type;
      known.fixed[i] = constant->count <= kMostFixed;
    }
  for (const Node& node : graph.nodes) {
    const bool reads_shape = node.domain.empty() && (node.op == "Shape" || node.op == "Size");
    const bool fixed = reads_shape || is_fixed(node, known);
    const Type type = output_type(node, known.types);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kAbsent) continue;
      known.fixed[at(node.outputs[i])] = fixed;
      if (i == 0 || node.op == "Split") known.types[at(node.outputs[i])] = type;
    }
  }
  return known;
}

Place place_of(const Graph& graph, const Node& node, const Known& known) {
  if (is_fixed(node, known)) return Place::host;
  if (node.expression != nullptr) return Place::device;
  const Operator& op = require_operator(graph, node);
  switch (op.place) {
  case Place::host:
  case Place::shape:
    return op.place;
  case Place::view: // Dropout that may train draws a mask
    return can_move(input_type(node, 0, known.types)) &&
                   !(node.op == "Dropout" && node.inputs.size() > 2)
               ? op.place
               : Place::host;
  case Place::moves:
    return takes_input(op, node, 0, known) && can_move(output_type(node, known.types)) &&
                   !pads_with_elements(node)
               ? op.place
               : Place::host;
  case Place::device:
    return takes_all(op, node, known) && one_output(node) && !trains(node) ? op.place : Place::host;
  }
  return Place::host;
}

} // namespace mlp::native
