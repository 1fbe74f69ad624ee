// Finds the operator of a node, reads attributes with their kinds, and wraps kernels that know
// float but not the 16-bit floats.
#include "backends/runtime/native/operators.hpp"

#include "backends/runtime/native/expression.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/floats.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <memory>

namespace mlp::native {

const Value& Call::in(std::size_t i) const {
  if (!has(i)) throw Error(ErrorKind::failed, fmt::format("input {} is missing", i));
  return *inputs_[i];
}

Value& Call::out(std::size_t i, Type type, const Dims& dims) {
  if (i >= outputs_.size()) throw Error(ErrorKind::failed, fmt::format("output {} is missing", i));
  return outputs_[i] = memory_.allocate(type, dims);
}

void Call::set(std::size_t i, Value value) {
  if (i < outputs_.size()) outputs_[i] = std::move(value);
}

template <class T>
const T* NodeSpec::find(std::string_view name, std::string_view kind) const {
  ignore(name);
  const auto place = node_.attributes.find(name);
  if (place == node_.attributes.end()) return nullptr;
  const T* value = std::get_if<T>(&place->second);
  if (value == nullptr)
    throw Error(ErrorKind::config, fmt::format("attribute '{}' is not {}", name, kind));
  return value;
}

std::int64_t NodeSpec::integer(std::string_view name, std::int64_t otherwise) const {
  const auto* value = find<std::int64_t>(name, "an integer");
  return value != nullptr ? *value : otherwise;
}

bool NodeSpec::flag(std::string_view name, bool otherwise) const {
  return integer(name, otherwise ? 1 : 0) != 0;
}

float NodeSpec::real(std::string_view name, float otherwise) const {
  const auto* value = find<float>(name, "a number");
  return value != nullptr ? *value : otherwise;
}

std::string NodeSpec::text(std::string_view name, std::string_view otherwise) const {
  const auto* value = find<std::string>(name, "a string");
  return value != nullptr ? *value : std::string(otherwise);
}

namespace {
template <class T>
std::optional<T> copy_of(const T* value) {
  return value != nullptr ? std::optional<T>(*value) : std::nullopt;
}
} // namespace

std::optional<std::vector<std::int64_t>> NodeSpec::integers(std::string_view name) const {
  return copy_of(find<std::vector<std::int64_t>>(name, "a list of integers"));
}
std::optional<std::vector<float>> NodeSpec::reals(std::string_view name) const {
  return copy_of(find<std::vector<float>>(name, "a list of numbers"));
}
std::optional<std::vector<std::string>> NodeSpec::texts(std::string_view name) const {
  return copy_of(find<std::vector<std::string>>(name, "a list of strings"));
}
std::optional<Value> NodeSpec::tensor(std::string_view name) const {
  return copy_of(find<Value>(name, "a tensor"));
}
bool NodeSpec::has(std::string_view name) const {
  return node_.attributes.contains(name);
}

void NodeSpec::check_all_read() const {
  for (const auto& [name, value] : node_.attributes)
    if (!used_.contains(name))
      throw Error(ErrorKind::config,
                  fmt::format("attribute '{}' is not one of the operator's", printable(name)));
}

void NodeSpec::expect_inputs(std::size_t least, std::size_t most) const {
  const std::size_t count = input_count();
  if (count < least || count > most)
    throw Error(ErrorKind::config,
                least == most ? fmt::format("has {} inputs, not {}", count, least)
                              : fmt::format("has {} inputs, not {} to {}", count, least, most));
  for (std::size_t i = 0; i < least; ++i)
    if (node_.inputs[i] == kAbsent)
      throw Error(ErrorKind::config, fmt::format("input {} is missing", i));
}

const Value* NodeSpec::constant(std::size_t i) const {
  if (i >= node_.inputs.size() || node_.inputs[i] == kAbsent) return nullptr;
  const auto& value = graph_.values[static_cast<std::size_t>(node_.inputs[i])].constant;
  return value ? &*value : nullptr;
}

namespace {

using Family = std::span<const Operator> (*)();
constexpr Family families[] = {
    arithmetic_operators, cast_operators,   compare_operators,       constant_operators,
    conv_operators,       gather_operators, label_operators,         layout_operators,
    matmul_operators,     pad_operators,    normalization_operators, pool_operators,
    reduce_operators,     shape_operators,  softmax_operators,       unary_operators,
};

} // namespace

const Operator* find_operator(std::string_view domain, std::string_view name, int opset) {
  for (const Family family : families)
    for (const Operator& op : family())
      if (op.name == name && op.domain == domain && op.since <= opset && opset <= op.until)
        return &op;
  return nullptr;
}

std::vector<std::string> operator_names(std::string_view domain) {
  std::set<std::string> names;
  for (const Family family : families)
    for (const Operator& op : family())
      if (op.domain == domain) names.insert(std::string(op.name));
  return {names.begin(), names.end()};
}

// Runs a kernel on float copies of 16-bit inputs.
class HalfCall {
 public:
  static void run(const Kernel& kernel, Call& call) {
    Type half = Type::undefined;
    for (const Value* input : call.inputs_)
      if (input != nullptr && is_half(input->type)) half = input->type;
    if (half == Type::undefined) return kernel(call);

    std::vector<Value> widened(call.inputs_.size());
    std::vector<const Value*> inputs(call.inputs_.begin(), call.inputs_.end());
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i] != nullptr && is_half(inputs[i]->type)) {
        widened[i] = widen(*inputs[i], call.memory_);
        inputs[i] = &widened[i];
      }
    const auto dying = std::make_unique<bool[]>(inputs.size());
    Call inner(call.memory_, inputs, {dying.get(), inputs.size()}, call.outputs_, call.wanted_);
    kernel(inner);
    for (Value& output : call.outputs_)
      if (output.type == Type::f32) output = narrow(output, half, call.memory_);
  }
};

const Operator& require_operator(const Graph& graph, const Node& node) {
  const Operator* op = find_operator(node.domain, node.op, node.opset);
  if (op != nullptr) return *op;
  throw Error(ErrorKind::config,
              fmt::format("the native runtime lacks operator '{}' of {} opset {}",
                          printable(node.op),
                          node.domain.empty() ? "ai.onnx" : printable(node.domain), node.opset))
      .with_context(fmt::format("in {}", describe(graph, node)));
}

Kernel make_kernel(const Graph& graph, const Node& node, kernels::Device& device) {
  if (node.expression != nullptr) return make_expression_kernel(node, device);
  const Operator* op = &require_operator(graph, node);
  const std::string where = fmt::format("in {}", describe(graph, node));
  return with_context(where, [&]() -> Kernel {
    const NodeSpec spec(graph, node, device);
    Kernel kernel = op->make(spec);
    spec.check_all_read();
    if (op->half == Half::as_is) return kernel;
    return [kernel = std::move(kernel)](Call& call) { HalfCall::run(kernel, call); };
  });
}

} // namespace mlp::native
