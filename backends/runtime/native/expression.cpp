// Two passes: each node's arithmetic is written down as instructions over results and inputs, then
// they are laid into the accumulator and its few registers in that order (a linear scan: Poletto
// and Sarkar 1999, without spilling).
#include "backends/runtime/native/expression.hpp"

#include "backends/runtime/native/broadcast.hpp"
#include "backends/runtime/native/device_copy.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <string_view>

namespace mlp::native {

namespace {

using kernels::ElementOp;
using kernels::ElementOperand;
using kernels::ElementStep;

// A number, an input of the expression, or the result of an earlier instruction.
struct Ref {
  enum class Kind : std::uint8_t { number, input, result };
  Kind kind = Kind::number;
  int index = 0;
  float number = 0.0F;
  bool operator==(const Ref&) const = default;
};
Ref number(double value) {
  return {.number = static_cast<float>(value)};
}

struct Instruction {
  ElementOp op;
  Ref a, b, c;
  int operands; // 1 to 3
};

struct Named {
  std::string_view name;
  ElementOp op;
};
constexpr Named kUnary[] = {
    {"Abs", ElementOp::absolute},       {"Neg", ElementOp::negate},
    {"Sign", ElementOp::sign},          {"Relu", ElementOp::relu},
    {"Sigmoid", ElementOp::sigmoid},    {"Tanh", ElementOp::tanh},
    {"Erf", ElementOp::error_function}, {"Sqrt", ElementOp::square_root},
    {"Exp", ElementOp::exponential},    {"Log", ElementOp::logarithm},
    {"Floor", ElementOp::floor},        {"Ceil", ElementOp::ceil},
    {"Round", ElementOp::round},        {"Reciprocal", ElementOp::reciprocal},
    {"Softplus", ElementOp::softplus},
};
constexpr Named kBinary[] = {
    {"Add", ElementOp::add},    {"Sub", ElementOp::subtract}, {"Mul", ElementOp::multiply},
    {"Div", ElementOp::divide}, {"Pow", ElementOp::power},    {"PRelu", ElementOp::prelu},
};
constexpr Named kVariadic[] = {
    {"Min", ElementOp::minimum},
    {"Max", ElementOp::maximum},
    {"Sum", ElementOp::add},
    {"Mean", ElementOp::add},
};
constexpr Named kCompare[] = {
    {"Less", ElementOp::less},       {"LessOrEqual", ElementOp::less_equal},
    {"Greater", ElementOp::greater}, {"GreaterOrEqual", ElementOp::greater_equal},
    {"Equal", ElementOp::equal},
};

template <std::size_t N>
std::optional<ElementOp> find(const Named (&table)[N], std::string_view name) {
  const auto place = std::ranges::find(table, name, &Named::name);
  return place == std::end(table) ? std::nullopt : std::optional(place->op);
}

class Writer {
 public:
  Writer(const Graph& graph, std::span<const Node* const> producers,
         const std::vector<bool>& floats)
      : graph_(graph), producers_(producers), floats_(floats) {}

  // False if the node is not elementwise.
  bool write(const Node& node) {
    if (!node.domain.empty() || node.outputs.size() != 1 || node.outputs[0] == kAbsent ||
        node.inputs.empty())
      return false;
    const auto result = node.op == "Where" ? where(node) : arithmetic(node);
    if (!result) return false;
    results_[node.outputs[0]] = *result;
    return true;
  }

  std::vector<Instruction> code;
  std::vector<ValueId> inputs;
  std::size_t least_rank = 0;

 private:
  Ref emit(ElementOp op, Ref a) { return emit(op, a, {}, {}, 1); }
  Ref emit(ElementOp op, Ref a, Ref b) { return emit(op, a, b, {}, 2); }
  Ref emit(ElementOp op, Ref a, Ref b, Ref c, int operands = 3) {
    code.push_back({op, a, b, c, operands});
    return {.kind = Ref::Kind::result, .index = static_cast<int>(code.size()) - 1};
  }

  const Value* constant(ValueId id) const {
    const auto& value = graph_.values[static_cast<std::size_t>(id)].constant;
    return value ? &*value : nullptr;
  }
  bool is_float(const Node& node, std::size_t i) const {
    return i < node.inputs.size() && node.inputs[i] != kAbsent &&
           floats_[static_cast<std::size_t>(node.inputs[i])];
  }

  Ref operand(ValueId id) {
    if (const auto known = results_.find(id); known != results_.end()) return known->second;
    if (const Value* value = constant(id); value != nullptr && value->count == 1) {
      least_rank = std::max(least_rank, value->dims.size());
      return number(static_cast<double>(*value->data<float>()));
    }
    auto place = std::ranges::find(inputs, id);
    if (place == inputs.end()) place = inputs.insert(inputs.end(), id);
    return {.kind = Ref::Kind::input, .index = static_cast<int>(place - inputs.begin())};
  }

  // An attribute that is a number, as the host's kernel of the node has checked.
  static double real(const Node& node, std::string_view name, double otherwise) {
    const auto place = node.attributes.find(name);
    const auto* value =
        place == node.attributes.end() ? nullptr : std::get_if<float>(&place->second);
    return value != nullptr ? static_cast<double>(*value) : otherwise;
  }

  std::optional<Ref> where(const Node& node) {
    if (!is_float(node, 1) || !is_float(node, 2) || node.inputs[0] == kAbsent) return std::nullopt;
    const Node* condition = producers_[static_cast<std::size_t>(node.inputs[0])];
    if (condition == nullptr || !condition->domain.empty()) return std::nullopt;
    const auto op = find(kCompare, condition->op);
    if (!op || !is_float(*condition, 0) || !is_float(*condition, 1)) return std::nullopt;
    const Ref left = operand(condition->inputs[0]);
    const Ref holds = emit(*op, left, operand(condition->inputs[1]));
    const Ref yes = operand(node.inputs[1]);
    return emit(ElementOp::select, holds, yes, operand(node.inputs[2]));
  }

  std::optional<Ref> arithmetic(const Node& node) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i] != kAbsent && !is_float(node, i)) return std::nullopt;
    if (node.inputs[0] == kAbsent) return std::nullopt;
    const std::string_view op = node.op;
    if (const auto binary = find(kBinary, op)) {
      if (node.inputs.size() != 2) return std::nullopt;
      const Ref a = operand(node.inputs[0]);
      return emit(*binary, a, operand(node.inputs[1]));
    }
    if (const auto variadic = find(kVariadic, op)) {
      Ref sum = emit(ElementOp::load, operand(node.inputs[0]));
      for (std::size_t i = 1; i < node.inputs.size(); ++i)
        sum = emit(*variadic, sum, operand(node.inputs[i]));
      if (op == "Mean")
        sum = emit(ElementOp::divide, sum, number(static_cast<double>(node.inputs.size())));
      return sum;
    }
    if (op == "Clip") return clip(node);
    if (node.inputs.size() != 1) return std::nullopt;
    const Ref x = operand(node.inputs[0]);
    if (const auto unary = find(kUnary, op)) return emit(*unary, x);
    return activation(node, x);
  }

  // Bounds that are known, so that they are known to be scalars.
  std::optional<Ref> clip(const Node& node) {
    std::optional<Ref> bounds[2];
    for (std::size_t i = 0; i < 2; ++i) {
      if (node.opset < 11) {
        const char* name = i == 0 ? "min" : "max";
        if (node.attributes.contains(name)) bounds[i] = number(real(node, name, 0.0));
      } else if (i + 1 < node.inputs.size() && node.inputs[i + 1] != kAbsent) {
        const Value* value = constant(node.inputs[i + 1]);
        if (value == nullptr || value->count != 1) return std::nullopt;
        bounds[i] = number(static_cast<double>(*value->data<float>()));
      }
    }
    Ref x = emit(ElementOp::load, operand(node.inputs[0]));
    if (bounds[0]) x = emit(ElementOp::maximum, x, *bounds[0]);
    if (bounds[1]) x = emit(ElementOp::minimum, x, *bounds[1]);
    return x;
  }

  Ref unit(Ref x) { // clamped to [0, 1]
    return emit(ElementOp::minimum, emit(ElementOp::maximum, x, number(0.0)), number(1.0));
  }

  std::optional<Ref> activation(const Node& node, Ref x) {
    using enum ElementOp;
    const std::string_view op = node.op;
    if (op == "LeakyRelu") return emit(prelu, x, number(real(node, "alpha", 0.01F)));
    if (op == "Elu") return emit(elu, x, number(real(node, "alpha", 1.0)));
    if (op == "Selu") {
      const Ref y = emit(elu, x, number(real(node, "alpha", 1.67326319217681884765625)));
      return emit(multiply, y, number(real(node, "gamma", 1.05070102214813232421875)));
    }
    if (op == "Celu") { // max(0, x) + min(0, alpha * (e^(x / alpha) - 1))
      const Ref alpha = number(real(node, "alpha", 1.0));
      const Ref below = emit(minimum, emit(elu, emit(divide, x, alpha), alpha), number(0.0));
      return emit(add, emit(maximum, x, number(0.0)), below);
    }
    if (op == "HardSigmoid") {
      const Ref scaled = emit(multiply, x, number(real(node, "alpha", 0.2F)));
      return unit(emit(add, scaled, number(real(node, "beta", 0.5))));
    }
    if (op == "HardSwish")
      return emit(multiply, unit(emit(add, emit(divide, x, number(6.0)), number(0.5))), x);
    if (op == "ThresholdedRelu")
      return emit(select, emit(greater, x, number(real(node, "alpha", 1.0))), x, number(0.0));
    if (op == "Swish") {
      const Ref scaled = emit(multiply, x, number(real(node, "alpha", 1.0)));
      return emit(multiply, emit(sigmoid, scaled), x);
    }
    if (op == "Softsign") return emit(divide, x, emit(add, emit(absolute, x), number(1.0)));
    if (op == "Mish") return emit(multiply, emit(ElementOp::tanh, emit(softplus, x)), x);
    if (op == "Gelu") return gelu_of(node, x);
    return std::nullopt;
  }

  Ref gelu_of(const Node& node, Ref x) {
    using enum ElementOp;
    const auto form = node.attributes.find("approximate");
    const auto* text =
        form == node.attributes.end() ? nullptr : std::get_if<std::string>(&form->second);
    if (text == nullptr || *text == "none") return emit(gelu, x);
    // Half x times 1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))
    const Ref square = emit(multiply, x, x);
    const Ref factor = emit(add, emit(multiply, square, number(0.044715)), number(1.0));
    const Ref inner = emit(multiply, emit(multiply, factor, x),
                           number(std::numbers::sqrt2 / std::sqrt(std::numbers::pi)));
    const Ref sum = emit(add, emit(ElementOp::tanh, inner), number(1.0));
    return emit(multiply, emit(multiply, sum, x), number(0.5));
  }

  const Graph& graph_;
  std::span<const Node* const> producers_;
  const std::vector<bool>& floats_;
  std::map<ValueId, Ref> results_;
};

bool commutes(ElementOp op) {
  return op == ElementOp::add || op == ElementOp::multiply;
}

// Lays instructions into the accumulator machine.
class Allocator {
 public:
  explicit Allocator(std::vector<Instruction> code) : code_(std::move(code)), uses_(code_.size()) {
    for (const Instruction& i : code_)
      for_each_result(i, [&](int result) { ++uses_[static_cast<std::size_t>(result)]; });
    registers_.fill(kFree);
  }

  std::optional<std::vector<ElementStep>> run() {
    for (int i = 0; i < static_cast<int>(code_.size()); ++i)
      if (!place(i)) return std::nullopt;
    if (steps_.size() > kernels::kMaxSteps) return std::nullopt;
    return std::move(steps_);
  }

 private:
  static constexpr int kFree = -1;

  template <class Body>
  static void for_each_result(const Instruction& i, const Body& body) {
    const Ref* refs[] = {&i.a, &i.b, &i.c};
    for (int k = 0; k < i.operands; ++k)
      if (refs[k]->kind == Ref::Kind::result) body(refs[k]->index);
  }

  int register_of(int result) const {
    const auto place = std::ranges::find(registers_, result);
    return place == registers_.end() ? kFree : static_cast<int>(place - registers_.begin());
  }
  // Keeps what the accumulator holds, if it is still to be read after `spent` more uses.
  bool save(int spent) {
    if (held_ == kFree || uses_[static_cast<std::size_t>(held_)] <= spent ||
        register_of(held_) != kFree)
      return true;
    const int free = register_of(kFree);
    if (free == kFree) return false;
    registers_[static_cast<std::size_t>(free)] = held_;
    steps_.push_back(
        {.op = ElementOp::store,
         .b = {.from = ElementOperand::From::temporary, .index = static_cast<std::uint8_t>(free)}});
    return true;
  }
  ElementOperand operand(const Ref& ref) const {
    if (ref.kind == Ref::Kind::number) return {.number = ref.number};
    const bool is_input = ref.kind == Ref::Kind::input;
    return {.from = is_input ? ElementOperand::From::input : ElementOperand::From::temporary,
            .index = static_cast<std::uint8_t>(is_input ? ref.index : register_of(ref.index))};
  }
  bool holds(const Ref& ref) const { return ref.kind == Ref::Kind::result && ref.index == held_; }

  bool place(int index) {
    Instruction now = code_[static_cast<std::size_t>(index)];
    if (commutes(now.op) && !holds(now.a) && holds(now.b)) std::swap(now.a, now.b);
    const bool again = (now.operands > 1 && holds(now.b)) || (now.operands > 2 && holds(now.c));
    if (holds(now.a)) {
      if (!save(again ? 0 : 1)) return false;
    } else {
      if (!save(0)) return false;
      steps_.push_back({.op = ElementOp::load, .b = operand(now.a)});
    }
    if (now.op != ElementOp::load) // what `a` is has been loaded
      steps_.push_back({.op = now.op,
                        .b = now.operands > 1 ? operand(now.b) : ElementOperand{},
                        .c = now.operands > 2 ? operand(now.c) : ElementOperand{}});
    held_ = index;
    for_each_result(now, [&](int result) {
      const int at = register_of(result);
      if (--uses_[static_cast<std::size_t>(result)] == 0 && at != kFree)
        registers_[static_cast<std::size_t>(at)] = kFree;
    });
    return true;
  }

  std::vector<Instruction> code_;
  std::vector<int> uses_; // by instruction: reads of its result that are left
  std::array<int, kernels::kTemporaries> registers_{};
  int held_ = kFree; // the instruction whose result is in the accumulator
  std::vector<ElementStep> steps_;
};

} // namespace

std::optional<Compiled> compile_expression(const Graph& graph, std::span<const Node* const> nodes,
                                           std::span<const Node* const> producers,
                                           const std::vector<bool>& floats) {
  Writer writer(graph, producers, floats);
  Compiled compiled;
  for (const Node* node : nodes) {
    if (!writer.write(*node)) return std::nullopt;
    compiled.expression.ops.push_back(node->op);
  }
  if (writer.inputs.size() > kernels::kMaxInputs || writer.code.empty()) return std::nullopt;
  auto steps = Allocator(std::move(writer.code)).run();
  if (!steps) return std::nullopt;
  compiled.expression.steps = std::move(*steps);
  compiled.expression.least_rank = writer.least_rank;
  compiled.inputs = std::move(writer.inputs);
  return compiled;
}

Kernel make_expression_kernel(const Node& node, kernels::Device& device) {
  return [expression = node.expression, device = &device](Call& call) {
    Dims dims;
    for (std::size_t i = 0; i < expression->least_rank; ++i)
      dims.push_back(1);
    for (std::size_t i = 0; i < call.input_count(); ++i)
      dims = broadcast_shape(dims, call.in(i).dims);
    Value& out = call.out(0, Type::f32, dims);
    kernels::ElementwiseSpec spec;
    spec.rank = static_cast<int>(dims.size());
    std::copy(dims.begin(), dims.end(), spec.shape);
    kernels::dense_strides(spec.rank, spec.shape, spec.out);
    std::array<const float*, kernels::kMaxInputs> addresses{};
    spec.inputs = static_cast<int>(call.input_count());
    for (std::size_t i = 0; i < call.input_count(); ++i) {
      const Strides strides = broadcast_strides(call.in(i).dims, dims);
      std::copy_n(strides.begin(), dims.size(), spec.input[i]);
      addresses[i] = call.in(i).data<float>();
    }
    spec.count = static_cast<int>(expression->steps.size());
    std::copy(expression->steps.begin(), expression->steps.end(), spec.step);
    device->elementwise(call.stream(), spec, addresses.data(), out.data<float>());
  };
}

} // namespace mlp::native
