// Protobuf to Graph: names become numbers, attributes plain data; everything is checked on the way.
// Format: onnx.proto and "Open Neural Network Exchange Intermediate Representation" (IR.md).
#include "backends/runtime/native/model_reader.hpp"

#include "backends/runtime/native/model_scan.hpp"
#include "backends/runtime/native/operators.hpp"
#include "backends/runtime/native/tensor_proto.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include "onnx.pb.h"
#include <fmt/format.h>

#include <limits>
#include <unordered_map>

namespace mlp::native {

namespace {

struct KnownDomain {
  std::string_view name;
  int oldest, newest;
};
// Versions whose operators' definitions the table of operators follows.
constexpr KnownDomain domains[] = {{"", 1, 28}, {"ai.onnx.ml", 1, 5}};

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorKind::config, why);
}

std::string_view canonical_domain(std::string_view domain) {
  return domain == "ai.onnx" ? std::string_view() : domain;
}

class Reader {
 public:
  Reader(const onnx::ModelProto& model, Memory& memory) : model_(model), memory_(memory) {}

  Graph read() {
    read_opsets();
    if (!model_.has_graph()) refuse("not an ONNX model: it has no graph");
    if (model_.functions_size() > 0)
      refuse(fmt::format("the model defines functions of its own ('{}'), which are not supported",
                         printable(model_.functions(0).name())));
    const onnx::GraphProto& graph = model_.graph();
    if (graph.sparse_initializer_size() > 0)
      refuse("the model has sparse initializers, which are not supported");
    for (const onnx::TensorProto& tensor : graph.initializer())
      read_initializer(tensor);
    for (const onnx::NodeProto& node : graph.node())
      read_node(node);
    for (const Node& node : graph_.nodes)
      require_operator(graph_, node);
    for (const onnx::ValueInfoProto& input : graph.input())
      read_input(input);
    for (const onnx::ValueInfoProto& output : graph.output())
      read_output(output);
    if (graph_.outputs.empty()) refuse("the model has no outputs");
    sort_nodes(graph_);
    return std::move(graph_);
  }

 private:
  void read_opsets() {
    for (const onnx::OperatorSetIdProto& set : model_.opset_import()) {
      const std::string domain(canonical_domain(set.domain()));
      for (const KnownDomain& known : domains)
        if (known.name == domain && (set.version() < known.oldest || set.version() > known.newest))
          refuse(fmt::format("opset {} of '{}' is not supported, only {} to {}", set.version(),
                             domain.empty() ? "ai.onnx" : domain, known.oldest, known.newest));
      opsets_[domain] = static_cast<int>(std::clamp<std::int64_t>(set.version(), 0, 1 << 20));
    }
    if (opsets_.empty()) refuse("not an ONNX model: it imports no operator set");
  }

  ValueId id_of(const std::string& name) {
    const auto [place, is_new] = ids_.try_emplace(name, kAbsent);
    if (is_new) place->second = graph_.add_value(name);
    return place->second;
  }

  void read_initializer(const onnx::TensorProto& tensor) {
    if (tensor.name().empty()) refuse("an initializer has no name");
    GraphValue& value = graph_.values[static_cast<std::size_t>(id_of(tensor.name()))];
    const std::string what = fmt::format("initializer '{}'", printable(tensor.name()));
    if (value.constant) refuse(what + " is given twice");
    value.constant = read_tensor(tensor, memory_, what);
  }

  static model::TensorSpec read_spec(const onnx::ValueInfoProto& info, std::string_view what) {
    const std::string subject = fmt::format("{} '{}'", what, printable(info.name()));
    if (!info.has_type()) refuse(subject + " has no type");
    if (!info.type().has_tensor_type())
      refuse(subject + " is a sequence, a map or an optional; only tensors are supported");
    const onnx::TypeProto::Tensor& tensor = info.type().tensor_type();
    const auto type = type_from_onnx(tensor.elem_type());
    if (!type)
      refuse(
          fmt::format("{} has element type {}, which is not known", subject, tensor.elem_type()));
    model::TensorSpec spec;
    spec.name = info.name();
    spec.type = to_data_type(*type).value_or(model::DataType::uint8);
    if (static_cast<std::size_t>(tensor.shape().dim_size()) > kMaxRank)
      refuse(fmt::format("{} has {} dimensions, more than {}", subject, tensor.shape().dim_size(),
                         kMaxRank));
    for (const auto& dim : tensor.shape().dim()) {
      if (dim.has_dim_value() && dim.dim_value() < 0)
        refuse(fmt::format("{} has a dimension of {}", subject, dim.dim_value()));
      spec.shape.push_back(dim.has_dim_value() ? dim.dim_value() : -1);
    }
    if (!tensor.has_shape()) spec.shape.push_back(-1);
    return spec;
  }

  static Type element_type(const onnx::ValueInfoProto& info) {
    return type_from_onnx(info.type().tensor_type().elem_type()).value_or(Type::undefined);
  }

  void read_input(const onnx::ValueInfoProto& info) {
    const ValueId id = id_of(info.name());
    if (graph_.values[static_cast<std::size_t>(id)].constant) return; // a default: kept constant
    graph_.signature.inputs.push_back(read_spec(info, "input"));
    graph_.input_types.push_back(element_type(info));
    graph_.inputs.push_back(id);
  }

  void read_output(const onnx::ValueInfoProto& info) {
    const auto found = ids_.find(info.name());
    if (found == ids_.end())
      refuse(fmt::format("output '{}' is not produced by any node", printable(info.name())));
    for (const GraphOutput& other : graph_.outputs)
      if (other.name == info.name())
        refuse(fmt::format("output '{}' is given twice", printable(info.name())));
    graph_.signature.outputs.push_back(read_spec(info, "output"));
    graph_.output_types.push_back(element_type(info));
    graph_.outputs.push_back({found->second, info.name()});
  }

  void read_node(const onnx::NodeProto& proto) {
    Node node;
    node.name = proto.name();
    node.domain = canonical_domain(proto.domain());
    node.op = proto.op_type();
    const auto opset = opsets_.find(node.domain);
    if (opset == opsets_.end())
      refuse(fmt::format("node '{}' ({}) is of domain '{}', which the model does not import",
                         printable(node.name), printable(node.op), printable(node.domain)));
    node.opset = opset->second;
    for (const std::string& name : proto.input())
      node.inputs.push_back(name.empty() ? kAbsent : id_of(name));
    for (const std::string& name : proto.output())
      node.outputs.push_back(name.empty() ? kAbsent : id_of(name));
    for (const onnx::AttributeProto& attribute : proto.attribute()) {
      const bool added =
          node.attributes.try_emplace(attribute.name(), read_attribute(attribute, node)).second;
      if (!added)
        refuse(fmt::format("{} has attribute '{}' twice", describe(graph_, node),
                           printable(attribute.name())));
    }
    graph_.nodes.push_back(std::move(node));
  }

  Attribute read_attribute(const onnx::AttributeProto& proto, const Node& node) {
    using P = onnx::AttributeProto;
    switch (proto.type()) {
    case P::INT:
      return std::int64_t{proto.i()};
    case P::FLOAT:
      return proto.f();
    case P::STRING:
      return proto.s();
    case P::INTS:
      return std::vector<std::int64_t>(proto.ints().begin(), proto.ints().end());
    case P::FLOATS:
      return std::vector<float>(proto.floats().begin(), proto.floats().end());
    case P::STRINGS:
      return std::vector<std::string>(proto.strings().begin(), proto.strings().end());
    case P::TENSOR:
      return read_tensor(
          proto.t(), memory_,
          fmt::format("attribute '{}' of {}", printable(proto.name()), describe(graph_, node)));
    default:
      return std::monostate();
    }
  }

  const onnx::ModelProto& model_;
  Memory& memory_;
  Graph graph_;
  std::map<std::string, int, std::less<>> opsets_;
  std::unordered_map<std::string, ValueId> ids_;
};

} // namespace

Graph read_model(std::string_view bytes, Memory& memory, const Limits& limits) {
  if (bytes.empty()) refuse("not an ONNX model: it is empty");
  if (bytes.size() > limits.file_bytes ||
      bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    refuse(fmt::format("the model is larger than {}", format_bytes(limits.file_bytes)));
  scan_model(bytes, limits);
  onnx::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    refuse("not an ONNX model: it cannot be parsed");
  return Reader(model, memory).read();
}

} // namespace mlp::native
