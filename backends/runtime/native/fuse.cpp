// Fusions of neighbouring nodes. Two nodes become one when the first one's result is read by the
// second alone; the first then takes over the second's output. What is left without a reader is
// dropped by remove_dead_nodes().
#include "backends/runtime/native/numbers.hpp"
#include "backends/runtime/native/optimize.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mlp::native {

namespace {

class Fuser {
 public:
  Fuser(Graph& graph, Memory& constants) : graph_(graph), constants_(constants), uses_(graph) {}

  void run() {
    for (Node& node : graph_.nodes)
      if (is(node, "Erf")) fuse_gelu(node);
    for (Node& node : graph_.nodes) {
      if (!is(node, "MatMul") && !is(node, "Gemm") && !is(node, "Conv")) continue;
      const Value* weights = constant(node, 1);
      if (weights == nullptr || weights->type != Type::f32) continue;
      fuse_bias(node);
      fuse_batch_norm(node);
      fuse_activation(node);
    }
  }

 private:
  static bool is(const Node& node, std::string_view op) {
    return node.domain.empty() && node.op == op;
  }

  const Value* constant(const Node& node, std::size_t i) const {
    if (i >= node.inputs.size() || node.inputs[i] == kAbsent) return nullptr;
    const auto& value = graph_.values[at(node.inputs[i])].constant;
    return value ? &*value : nullptr;
  }

  // The node that alone reads `node`'s only result.
  Node* only_reader(const Node& node) const {
    if (node.outputs.empty() || node.outputs[0] == kAbsent) return nullptr;
    for (std::size_t i = 1; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kAbsent) return nullptr;
    const ValueId id = node.outputs[0];
    if (uses_.is_output[at(id)] || uses_.readers[at(id)].size() != 1) return nullptr;
    return uses_.readers[at(id)].front();
  }

  // `first` computes what `second` did.
  void take_over(Node& first, Node& second) {
    first.outputs[0] = second.outputs[0];
    uses_.producer[at(first.outputs[0])] = &first;
    second.outputs.assign(1, kAbsent);
  }

  ValueId add_constant(const Value& value) {
    const ValueId id = graph_.add_value({});
    graph_.values[at(id)].constant = value;
    uses_.producer.push_back(nullptr);
    uses_.readers.emplace_back();
    uses_.is_output.push_back(false);
    return id;
  }

  // The input of a commutative node that is not input `i`'s scalar constant near `number`.
  bool is_scalar(const Node& node, std::size_t i, double number) const {
    const Value* value = constant(node, i);
    return value != nullptr && value->dims.empty() && value->type != Type::string &&
           (value->type == Type::f32 || value->type == Type::f64 || is_half(value->type)) &&
           std::fabs(read_number(*value, "a constant") - number) < 1e-3 * number;
  }
  std::optional<ValueId> other_of(const Node& node, double number) const {
    if (node.inputs.size() != 2) return std::nullopt;
    if (is_scalar(node, 1, number)) return node.inputs[0];
    if (is_scalar(node, 0, number)) return node.inputs[1];
    return std::nullopt;
  }

  // erf(x / sqrt 2) or erf(x * sqrt 1/2): x.
  std::optional<ValueId> gelu_input(const Node& erf) const {
    const Node* scaled = erf.inputs.empty() ? nullptr : uses_.producer[at(erf.inputs[0])];
    if (scaled == nullptr) return std::nullopt;
    if (is(*scaled, "Div") && is_scalar(*scaled, 1, std::sqrt(2.0))) return scaled->inputs[0];
    if (is(*scaled, "Mul")) return other_of(*scaled, std::sqrt(0.5));
    return std::nullopt;
  }

  static std::optional<ValueId> partner(const Node& product, ValueId id) {
    if (!is(product, "Mul") || product.inputs.size() != 2) return std::nullopt;
    if (product.inputs[0] == id) return product.inputs[1];
    if (product.inputs[1] == id) return product.inputs[0];
    return std::nullopt;
  }

  // x * (erf(x / sqrt 2) + 1) * 0.5, the products in any order.
  void fuse_gelu(Node& erf) {
    const auto x = gelu_input(erf);
    Node* sum = only_reader(erf);
    if (!x || sum == nullptr || !is(*sum, "Add") || other_of(*sum, 1.0) != erf.outputs[0]) return;
    Node* product = only_reader(*sum);
    if (product == nullptr) return;
    const auto with = partner(*product, sum->outputs[0]);
    if (!with) return;
    const Node* half = uses_.producer[at(*with)];
    if (half != nullptr && is(*half, "Mul") && other_of(*half, 0.5) == *x)
      return make_gelu(*product, *x); // (x * 0.5) * sum
    Node* last = only_reader(*product);
    if (last == nullptr || !is(*last, "Mul")) return;
    if (*with == *x && other_of(*last, 0.5) == product->outputs[0])
      return make_gelu(*last, *x); // (x * sum) * 0.5
    if (other_of(*product, 0.5) == sum->outputs[0] && partner(*last, product->outputs[0]) == *x)
      return make_gelu(*last, *x); // x * (sum * 0.5)
  }

  void make_gelu(Node& node, ValueId x) {
    // What the last product no longer reads; `x` keeps one reader for each that is left.
    std::vector<Node*> gone;
    collect(node, x, gone);
    for (Node* old : gone)
      std::erase(uses_.readers[at(x)], old);
    for (Node* old : gone)
      if (old != &node) old->outputs.assign(1, kAbsent);
    node.op = "Gelu";
    node.opset = 20;
    node.attributes.clear();
    node.inputs = {x};
    uses_.readers[at(x)].push_back(&node);
  }

  // The nodes between `x` and `node`; all of them serve `node` alone but maybe the one with 0.5.
  void collect(Node& node, ValueId x, std::vector<Node*>& gone) {
    if (std::find(gone.begin(), gone.end(), &node) != gone.end()) return;
    gone.push_back(&node);
    for (const ValueId id : node.inputs) {
      Node* from = id == kAbsent || id == x ? nullptr : uses_.producer[at(id)];
      if (from != nullptr && only_reader(*from) == &node) collect(*from, x, gone);
    }
  }

  void fuse_bias(Node& node) {
    Node* next = only_reader(node);
    const Value& weights = *constant(node, 1);
    if (!is(node, "MatMul") || next == nullptr || !is(*next, "Add") || weights.dims.size() != 2)
      return;
    for (std::size_t i = 0; i < 2; ++i) {
      const Value* bias = constant(*next, i);
      if (bias == nullptr || bias->type != Type::f32 || bias->dims.size() != 1 ||
          bias->count != weights.dims[1])
        continue;
      node.inputs.push_back(next->inputs[i]);
      node.fused_bias = true;
      return take_over(node, *next);
    }
  }

  bool is_number(const Node& node, std::string_view name, float number) const {
    const auto place = node.attributes.find(name);
    const float* value =
        place == node.attributes.end() ? nullptr : std::get_if<float>(&place->second);
    return place == node.attributes.end() || (value != nullptr && *value == number);
  }
  static std::int64_t integer(const Node& node, std::string_view name, std::int64_t otherwise) {
    const auto place = node.attributes.find(name);
    if (place == node.attributes.end()) return otherwise;
    const auto* value = std::get_if<std::int64_t>(&place->second);
    return value != nullptr ? *value : -1;
  }

  // Scale, bias, mean and variance of `channels` each, in inference.
  bool is_plain_batch_norm(const Node& node, std::int64_t channels) const {
    if (!is(node, "BatchNormalization") || node.inputs.size() != 5) return false;
    for (std::size_t i = 1; i < 5; ++i) {
      const Value* value = constant(node, i);
      if (value == nullptr || value->type != Type::f32 || value->count != channels) return false;
    }
    for (std::size_t i = 1; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kAbsent) return false;
    const auto epsilon = node.attributes.find("epsilon");
    return integer(node, "training_mode", 0) == 0 && integer(node, "spatial", 1) == 1 &&
           (epsilon == node.attributes.end() || std::holds_alternative<float>(epsilon->second));
  }

  // y = (w x + b - mean) * f + beta with f = gamma / sqrt(variance + epsilon), as new w and b.
  void fuse_batch_norm(Node& node) {
    Node* next = only_reader(node);
    const Value& weights = *constant(node, 1);
    const bool gemm = is(node, "Gemm");
    if (next == nullptr || weights.dims.size() < 2 || (!gemm && !is(node, "Conv"))) return;
    if (gemm && (!is_number(node, "alpha", 1.0F) || !is_number(node, "beta", 1.0F))) return;
    const bool rows = !gemm || integer(node, "transB", 0) != 0; // a channel is a row of w
    const std::int64_t channels = weights.dims[rows ? 0 : 1];
    const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kAbsent;
    const Value* bias = constant(node, 2);
    if (has_bias && (bias == nullptr || bias->type != Type::f32 || bias->count != channels ||
                     bias->dims.size() != 1))
      return;
    if (channels == 0 || next->inputs.empty() || next->inputs[0] != node.outputs[0] ||
        !is_plain_batch_norm(*next, channels))
      return;

    const auto epsilon = next->attributes.find("epsilon");
    const float added =
        epsilon == next->attributes.end() ? 1e-5F : std::get<float>(epsilon->second);
    Value scaled = constants_.allocate(Type::f32, weights.dims);
    Value shifted = constants_.allocate(Type::f32, Dims{channels});
    const std::int64_t inner = weights.count / channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto of = [&](std::size_t i) {
        return static_cast<double>(constant(*next, i)->data<float>()[c]);
      };
      const double factor = of(1) / std::sqrt(of(4) + static_cast<double>(added));
      const double before = has_bias ? static_cast<double>(bias->data<float>()[c]) : 0.0;
      shifted.data<float>()[c] = static_cast<float>((before - of(3)) * factor + of(2));
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t place = rows ? c * inner + i : i * channels + c;
        scaled.data<float>()[place] =
            static_cast<float>(static_cast<double>(weights.data<float>()[place]) * factor);
      }
    }
    take_over(node, *next);
    node.inputs.resize(3, kAbsent);
    node.inputs[1] = add_constant(scaled);
    node.inputs[2] = add_constant(shifted);
  }

  void fuse_activation(Node& node) {
    Node* next = only_reader(node);
    if (next == nullptr || next->inputs.size() != 1) return;
    if (is(*next, "Relu"))
      node.activation = FusedActivation::relu;
    else if (is(*next, "Tanh"))
      node.activation = FusedActivation::tanh;
    else if (is(*next, "Sigmoid"))
      node.activation = FusedActivation::sigmoid;
    else if (is(*next, "Gelu") && next->attributes.empty())
      node.activation = FusedActivation::gelu;
    else
      return;
    take_over(node, *next);
  }

  Graph& graph_;
  Memory& constants_;
  Uses uses_; // kept up with what is fused
};

} // namespace

void fuse_nodes(Graph& graph, Memory& constants) {
  Fuser(graph, constants).run();
  remove_dead_nodes(graph);
}

} // namespace mlp::native
