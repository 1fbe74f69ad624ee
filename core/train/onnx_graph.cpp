// Names are kept unique over inputs, initialisers and nodes alike: ONNX graphs are in single
// static assignment.
#include "core/train/onnx_graph.hpp"

#include <fmt/format.h>

#include <cstring>

namespace mlp::train {
namespace {

std::int32_t element_type(model::DataType type) noexcept {
  switch (type) {
  case model::DataType::uint8:
    return onnx::TensorProto::UINT8;
  case model::DataType::int64:
    return onnx::TensorProto::INT64;
  case model::DataType::string:
    return onnx::TensorProto::STRING;
  default:
    return onnx::TensorProto::FLOAT;
  }
}

void set_value_info(onnx::ValueInfoProto& info, const model::TensorSpec& spec) {
  info.set_name(spec.name);
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(element_type(spec.type));
  for (const std::int64_t size : spec.shape) {
    auto& dimension = *tensor.mutable_shape()->add_dim();
    if (size < 0)
      dimension.set_dim_param("N");
    else
      dimension.set_dim_value(size);
  }
}

} // namespace

std::string OnnxGraph::unique(std::string_view name) {
  std::string result(name);
  while (!names_.insert(result).second)
    result += '_';
  return result;
}

std::string OnnxGraph::input(const model::TensorSpec& spec) {
  names_.insert(spec.name);
  set_value_info(*graph_.add_input(), spec);
  return spec.name;
}

void OnnxGraph::output(const model::TensorSpec& spec) {
  set_value_info(*graph_.add_output(), spec);
}

onnx::TensorProto& OnnxGraph::initializer(const std::string& name,
                                          std::span<const std::int64_t> shape) {
  auto& tensor = *graph_.add_initializer();
  tensor.set_name(name);
  for (const std::int64_t size : shape)
    tensor.add_dims(size);
  return tensor;
}

std::string OnnxGraph::floats(std::string_view name, std::span<const float> values,
                              std::vector<std::int64_t> shape) {
  std::string result = unique(name);
  auto& tensor = initializer(result, shape);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  tensor.set_raw_data(values.data(), values.size_bytes());
  return result;
}

std::string OnnxGraph::integers(std::string_view name, std::span<const std::int64_t> values,
                                std::vector<std::int64_t> shape) {
  std::string result = unique(name);
  auto& tensor = initializer(result, shape);
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.set_raw_data(values.data(), values.size_bytes());
  return result;
}

std::string OnnxGraph::strings(std::string_view name, std::span<const std::string> values) {
  std::string result = unique(name);
  const auto size = static_cast<std::int64_t>(values.size());
  auto& tensor = initializer(result, {&size, 1});
  tensor.set_data_type(onnx::TensorProto::STRING);
  for (const std::string& value : values)
    tensor.add_string_data(value);
  return result;
}

OnnxGraph::Node OnnxGraph::node(std::string_view type, std::string_view name,
                                std::vector<std::string> inputs) {
  onnx::NodeProto& proto = *graph_.add_node();
  std::string output = unique(name);
  proto.set_op_type(std::string(type));
  proto.set_name(output);
  for (std::string& input : inputs)
    proto.add_input(std::move(input));
  proto.add_output(output);
  return {proto, std::move(output)};
}

std::vector<std::string> OnnxGraph::split(std::string_view name, const std::string& input,
                                          std::span<const std::int64_t> sizes) {
  const std::string lengths =
      integers(fmt::format("{}/sizes", name), sizes, {static_cast<std::int64_t>(sizes.size())});
  onnx::NodeProto& proto = *graph_.add_node();
  proto.set_op_type("Split");
  proto.set_name(unique(name));
  proto.add_input(input);
  proto.add_input(lengths);
  std::vector<std::string> outputs;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    outputs.push_back(unique(fmt::format("{}/{}", name, i)));
    proto.add_output(outputs.back());
  }
  Node{proto, {}}.attribute("axis", 1);
  return outputs;
}

OnnxGraph::Node& OnnxGraph::Node::attribute(std::string_view name, std::int64_t value) {
  auto& attribute = *proto.add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
  return *this;
}

OnnxGraph::Node& OnnxGraph::Node::attribute(std::string_view name,
                                            std::span<const std::string> values) {
  auto& attribute = *proto.add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(onnx::AttributeProto::STRINGS);
  for (const std::string& value : values)
    attribute.add_strings(value);
  return *this;
}

OnnxGraph::Node& OnnxGraph::Node::attribute(std::string_view name,
                                            std::span<const std::int64_t> values) {
  auto& attribute = *proto.add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values)
    attribute.add_ints(value);
  return *this;
}

} // namespace mlp::train
