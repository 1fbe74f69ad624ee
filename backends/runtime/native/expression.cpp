// Two passes: each node's arithmetic is written down as instructions over results and inputs, then
// they are laid into the accumulator and its few registers in that order (a linear scan: Poletto
// and Sarkar 1999, without spilling).
#include "backends/runtime/native/expression.hpp"

#include "backends/runtime/native/broadcast.hpp"
#include "backends/runtime/native/device_copy.hpp"
#include "backends/runtime/native/numbers.hpp"
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

constexpr std::string_view kOfIntegers[] = {"Abs", "Add",  "Max", "Min", "Mul",
                                            "Neg", "Sign", "Sub", "Sum"};
constexpr std::string_view kLogical[] = {"And", "Not", "Or", "Xor"};

template <std::size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::ranges::find(names, name) != std::end(names);
}

// What a node computes with.
enum class Numbers : std::uint8_t { none, floats, integers, either };

bool is_integer(Type type) {
  return type == Type::i64 || type == Type::i32 || type == Type::u8;
}
bool is_operand(Type type) {
  return type == Type::f32 || type == Type::boolean || is_integer(type);
}

Numbers numbers_of_cast(Type from, Type to) {
  if (!is_operand(from) || !is_operand(to)) return Numbers::none;
  if (from == Type::f32 || to == Type::f32) return Numbers::floats;
  return is_integer(to) ? Numbers::integers : Numbers::either;
}

Numbers numbers_of(const Node& node, const Known& known) {
  const auto type = [&](ValueId id) { return known.types[at(id)]; };
  if (!node.domain.empty() || node.outputs.size() != 1 || node.outputs[0] == kAbsent ||
      node.inputs.empty() || node.inputs[0] == kAbsent)
    return Numbers::none;
  const Type first = type(node.inputs[0]);
  if (node.op == "Cast") return numbers_of_cast(first, type(node.outputs[0]));
  const bool chooses = node.op == "Where";
  const Type of = chooses ? type(node.outputs[0]) : first;
  for (std::size_t i = chooses ? 1 : 0; i < node.inputs.size(); ++i) {
    const bool absent = node.inputs[i] == kAbsent;
    if (absent ? node.op != "Clip" : type(node.inputs[i]) != of) return Numbers::none;
  }
  if (chooses && first != Type::boolean) return Numbers::none;
  if (of == Type::f32) return Numbers::floats;
  if (of == Type::boolean)
    return chooses || node.op == "Equal" || among(kLogical, node.op) ? Numbers::either
                                                                     : Numbers::none;
  const bool computes = chooses || among(kOfIntegers, node.op) || find(kCompare, node.op);
  return is_integer(of) && computes ? Numbers::integers : Numbers::none;
}

// What all of them compute with; none if they do not agree.
Numbers numbers_of(std::span<const Node* const> nodes, const Known& known) {
  Numbers all = Numbers::either;
  for (const Node* node : nodes) {
    const Numbers own = numbers_of(*node, known);
    if (own == Numbers::none) return own;
    if (own == Numbers::either || own == all) continue;
    if (all != Numbers::either) return Numbers::none;
    all = own;
  }
  return all == Numbers::either ? Numbers::floats : all;
}

class Writer {
 public:
  Writer(const Graph& graph, const Known& known, bool integers)
      : graph_(graph), known_(known), integers_(integers) {}

  // A node that computes with the expression's numbers. False if it cannot be written; only of the
  // last one may the result be of another type than the machine's, or bool.
  bool write(const Node& node, bool last) {
    const Type type = known_.types[at(node.outputs[0])];
    if (!last && type != Type::boolean && type != (integers_ ? Type::i64 : Type::f32)) return false;
    const auto result = node.op == "Where"         ? where(node)
                        : node.op == "Cast"        ? cast(node, last)
                        : among(kLogical, node.op) ? logical(node)
                        : find(kCompare, node.op)  ? compare(node)
                                                   : arithmetic(node);
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
    const auto& value = graph_.values[at(id)].constant;
    return value ? &*value : nullptr;
  }

  Ref operand(ValueId id) {
    if (const auto known = results_.find(id); known != results_.end()) return known->second;
    if (const Value* value = constant(id); value != nullptr && value->count == 1) {
      const double real = read_number(*value, "a constant"); // a large integer is rounded here
      constexpr double kEveryInteger = 1 << 24;              // up to here a float has them all
      if (!is_integer(value->type) || std::fabs(real) <= kEveryInteger) {
        least_rank = std::max(least_rank, value->dims.size());
        return number(real);
      }
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
    if (node.inputs.size() != 3) return std::nullopt;
    const Ref holds = operand(node.inputs[0]);
    const Ref yes = operand(node.inputs[1]);
    return emit(ElementOp::select, holds, yes, operand(node.inputs[2]));
  }

  std::optional<Ref> compare(const Node& node) {
    if (node.inputs.size() != 2) return std::nullopt;
    const Ref left = operand(node.inputs[0]);
    return emit(*find(kCompare, node.op), left, operand(node.inputs[1]));
  }

  // On 0 and 1.
  std::optional<Ref> logical(const Node& node) {
    const Ref a = operand(node.inputs[0]);
    if (node.op == "Not") return emit(ElementOp::equal, a, number(0.0));
    if (node.inputs.size() != 2) return std::nullopt;
    const Ref b = operand(node.inputs[1]);
    if (node.op == "And") return emit(ElementOp::multiply, a, b);
    if (node.op == "Or") return emit(ElementOp::maximum, a, b);
    return emit(ElementOp::equal, emit(ElementOp::add, a, b), number(1.0));
  }

  // The machine converts what it reads and what it writes; in between, a bool is 0 or 1.
  std::optional<Ref> cast(const Node& node, bool last) {
    const Ref x = emit(ElementOp::load, operand(node.inputs[0]));
    if (last || known_.types[at(node.outputs[0])] != Type::boolean) return x;
    return emit(ElementOp::equal, emit(ElementOp::equal, x, number(0.0)), number(0.0));
  }

  std::optional<Ref> arithmetic(const Node& node) {
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
    if (op == "IsNaN") return emit(equal, emit(equal, x, x), number(0.0));
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
  const Known& known_;
  bool integers_;
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
                                           const Known& known) {
  const Numbers numbers = numbers_of(nodes, known);
  if (numbers == Numbers::none) return std::nullopt;
  Compiled compiled;
  compiled.expression.integers = numbers == Numbers::integers;
  compiled.expression.result = known.types[at(nodes.back()->outputs[0])];
  if (!is_operand(compiled.expression.result)) return std::nullopt;
  Writer writer(graph, known, compiled.expression.integers);
  for (const Node* node : nodes) {
    if (!writer.write(*node, node == nodes.back())) return std::nullopt;
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

namespace {

kernels::DType device_type(Type type) {
  switch (type) {
  case Type::f32:
    return kernels::DType::f32;
  case Type::boolean:
    return kernels::DType::boolean;
  case Type::u8:
    return kernels::DType::u8;
  case Type::i32:
    return kernels::DType::i32;
  case Type::i64:
    return kernels::DType::i64;
  default:
    refuse_type(type);
  }
}

} // namespace

Kernel make_expression_kernel(const Node& node, kernels::Device& device) {
  return [expression = node.expression, device = &device](Call& call) {
    Dims dims;
    for (std::size_t i = 0; i < expression->least_rank; ++i)
      dims.push_back(1);
    for (std::size_t i = 0; i < call.input_count(); ++i)
      dims = broadcast_shape(dims, call.in(i).dims);
    Value& out = call.out(0, expression->result, dims);
    kernels::ElementwiseSpec spec;
    spec.rank = static_cast<int>(dims.size());
    std::copy(dims.begin(), dims.end(), spec.shape);
    kernels::dense_strides(spec.rank, spec.shape, spec.out);
    std::array<const void*, kernels::kMaxInputs> addresses{};
    spec.inputs = static_cast<int>(call.input_count());
    for (std::size_t i = 0; i < call.input_count(); ++i) {
      const Strides strides = broadcast_strides(call.in(i).dims, dims);
      std::copy_n(strides.begin(), dims.size(), spec.input[i]);
      spec.type[i] = device_type(call.in(i).type);
      addresses[i] = call.in(i).address;
    }
    spec.result = device_type(expression->result);
    spec.integers = expression->integers;
    spec.count = static_cast<int>(expression->steps.size());
    std::copy(expression->steps.begin(), expression->steps.end(), spec.step);
    device->elementwise(call.stream(), spec, addresses.data(), out.address);
  };
}

} // namespace mlp::native
