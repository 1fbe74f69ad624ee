// Layer normalisation as exporters wrote it before it was an operator (opset 17): the difference
// from the mean, over the square root of the mean of its squares, with a scale and a bias. It is
// looked for from its division on; what it no longer reads is dropped by remove_dead_nodes().
#include "backends/runtime/native/numbers.hpp"
#include "backends/runtime/native/optimize.hpp"
#include "backends/runtime/native/placement.hpp"

#include <algorithm>

namespace mlp::native {

namespace {

class LayerNormFuser {
 public:
  explicit LayerNormFuser(Graph& graph) : graph_(graph), known_(find_known(graph)), uses_(graph) {}

  void run() {
    for (const Node& node : graph_.nodes)
      if (is(&node, "Div")) fuse(node);
  }

 private:
  // Of two inputs and one output, but for ReduceMean and Sqrt.
  static bool is(const Node* node, std::string_view op) {
    if (node == nullptr || !node->domain.empty() || node->op != op || node->outputs.size() != 1)
      return false;
    const std::size_t inputs = node->inputs.size();
    if (op == "Sqrt" ? inputs != 1 : op == "ReduceMean" ? inputs < 1 || inputs > 2 : inputs != 2)
      return false;
    return std::find(node->inputs.begin(), node->inputs.end(), kAbsent) == node->inputs.end();
  }

  const Value* constant(ValueId id) const {
    const auto& value = graph_.values[at(id)].constant;
    return value && value->type == Type::f32 ? &*value : nullptr;
  }
  const Node* producer(const Node& node, std::size_t input) const {
    return uses_.producer[at(node.inputs[input])];
  }
  Node* only_reader(const Node& node) const {
    const std::size_t id = at(node.outputs[0]);
    return uses_.is_output[id] || uses_.readers[id].size() != 1 ? nullptr
                                                                : uses_.readers[id].front();
  }

  // Null if it is missing, or of another kind.
  template <class T>
  static const T* attribute(const Node& node, std::string_view name) {
    const auto place = node.attributes.find(name);
    return place == node.attributes.end() ? nullptr : std::get_if<T>(&place->second);
  }

  // The mean over the last axis, which stays with one element.
  bool is_mean(const Node* node) const {
    if (!is(node, "ReduceMean")) return false;
    const auto* keep = attribute<std::int64_t>(*node, "keepdims");
    if (node->attributes.contains("keepdims") && (keep == nullptr || *keep != 1)) return false;
    const std::vector<std::int64_t> last{-1};
    if (node->inputs.size() == 1) {
      const auto* axes = attribute<std::vector<std::int64_t>>(*node, "axes");
      return axes != nullptr && *axes == last;
    }
    const auto& axes = graph_.values[at(node->inputs[1])].constant;
    return axes && axes->type == Type::i64 && read_integers(*axes, "the axes") == last;
  }

  // The number that is added to input 0.
  std::optional<float> added(const Node& sum) const {
    const Value* value = constant(sum.inputs[1]);
    if (value == nullptr || value->count != 1 || value->dims.size() > 1) return std::nullopt;
    return *value->data<float>();
  }

  // d d, or d to the power of two.
  bool is_square_of(const Node* node, ValueId d) const {
    if (is(node, "Mul")) return node->inputs[0] == d && node->inputs[1] == d;
    if (!is(node, "Pow") || node->inputs[0] != d) return false;
    const auto& exponent = graph_.values[at(node->inputs[1])].constant;
    return exponent && exponent->count == 1 && exponent->dims.size() <= 1 &&
           exponent->type != Type::string && read_number(*exponent, "the exponent") == 2.0;
  }

  // A row of constants that is the other input of `node`.
  std::optional<ValueId> row_beside(const Node* node, std::string_view op, ValueId id) const {
    if (!is(node, op)) return std::nullopt;
    const ValueId other = node->inputs[0] == id ? node->inputs[1] : node->inputs[0];
    const Value* row = constant(other);
    if (row == nullptr || row->dims.size() != 1 || row->count < 2) return std::nullopt;
    return other;
  }

  void fuse(const Node& quotient) {
    const ValueId d = quotient.inputs[0];
    const Node* difference = producer(quotient, 0);
    const Node* root = producer(quotient, 1);
    if (!is(difference, "Sub") || !is(root, "Sqrt")) return;
    const Node* sum = producer(*root, 0);
    if (!is(sum, "Add") || !added(*sum)) return;
    const Node* variance = producer(*sum, 0);
    if (!is_mean(variance) || !is_square_of(producer(*variance, 0), d)) return;
    const ValueId x = difference->inputs[0];
    const Node* mean = producer(*difference, 1);
    if (!is_mean(mean) || mean->inputs[0] != x || known_.types[at(x)] != Type::f32) return;

    Node* last = only_reader(quotient);
    const auto scale = row_beside(last, "Mul", quotient.outputs[0]);
    if (!scale) return;
    std::vector<ValueId> inputs{x, *scale};
    Node* next = only_reader(*last);
    const auto bias = row_beside(next, "Add", last->outputs[0]);
    if (bias && constant(*bias)->count == constant(*scale)->count) {
      inputs.push_back(*bias);
      last = next;
    }
    last->attributes.clear();
    last->attributes["axis"] = std::int64_t{-1};
    last->attributes["epsilon"] = *added(*sum);
    last->op = "LayerNormalization";
    last->opset = 17;
    last->fused_parts = true;
    last->inputs = std::move(inputs);
  }

  Graph& graph_;
  Known known_;
  Uses uses_; // as it was before: what is fused is not looked at again
};

} // namespace

void fuse_layer_norm(Graph& graph) {
  LayerNormFuser(graph).run();
  remove_dead_nodes(graph);
}

} // namespace mlp::native
