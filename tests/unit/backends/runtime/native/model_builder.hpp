// Small ONNX models for tests, built with ONNX's own messages.
#pragma once

#include "core/model/tensor.hpp"

#include "onnx.pb.h"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::native::test {

class ModelBuilder {
 public:
  explicit ModelBuilder(int opset = 17) {
    model_.set_ir_version(8);
    auto* import = model_.add_opset_import();
    import->set_domain("");
    import->set_version(opset);
  }

  onnx::GraphProto& graph() { return *model_.mutable_graph(); }
  onnx::ModelProto& model() { return model_; }

  // A dimension of -1 is symbolic.
  void input(const std::string& name, std::initializer_list<std::int64_t> dims,
             int type = onnx::TensorProto::FLOAT) {
    describe(*graph().add_input(), name, dims, type);
  }
  void output(const std::string& name, std::initializer_list<std::int64_t> dims,
              int type = onnx::TensorProto::FLOAT) {
    describe(*graph().add_output(), name, dims, type);
  }

  onnx::TensorProto& floats(const std::string& name, std::initializer_list<std::int64_t> dims,
                            const std::vector<float>& values) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t d : dims)
      tensor.add_dims(d);
    for (const float value : values)
      tensor.add_float_data(value);
    return tensor;
  }
  onnx::TensorProto& integers(const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t value : values)
      tensor.add_int64_data(value);
    return tensor;
  }

  onnx::NodeProto& node(const std::string& op, std::initializer_list<const char*> inputs,
                        std::initializer_list<const char*> outputs) {
    onnx::NodeProto& node = *graph().add_node();
    node.set_op_type(op);
    for (const char* name : inputs)
      node.add_input(name);
    for (const char* name : outputs)
      node.add_output(name);
    return node;
  }

  static void attribute(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(value);
  }

  std::string bytes() const { return model_.SerializeAsString(); }

 private:
  static void describe(onnx::ValueInfoProto& info, const std::string& name,
                       std::initializer_list<std::int64_t> dims, int type) {
    info.set_name(name);
    auto* tensor = info.mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    tensor->mutable_shape();
    for (const std::int64_t d : dims) {
      auto* dim = tensor->mutable_shape()->add_dim();
      if (d < 0)
        dim->set_dim_param("n");
      else
        dim->set_dim_value(d);
    }
  }

  onnx::ModelProto model_;
};

// Numbers that look random and are the same everywhere.
inline std::vector<float> numbers(std::size_t count, float scale = 1.0F) {
  std::vector<float> values(count);
  std::uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = (static_cast<float>(state >> 8) / 8388608.0F - 1.0F) * scale;
  }
  return values;
}

// A dense layer, GELU as exporters write it, a second layer and softmax: [n, 4] to [n, 3].
inline ModelBuilder small_network() {
  ModelBuilder b;
  b.input("x", {-1, 4});
  b.floats("w1", {4, 8}, numbers(32));
  b.floats("b1", {8}, numbers(8));
  b.floats("rsqrt2", {}, {0.70710678F});
  b.floats("one", {}, {1.0F});
  b.floats("half", {}, {0.5F});
  b.floats("w2", {3, 8}, numbers(24));
  b.floats("b2", {3}, numbers(3));
  b.node("MatMul", {"x", "w1"}, {"z"});
  b.node("Add", {"z", "b1"}, {"a"});
  b.node("Mul", {"a", "rsqrt2"}, {"scaled"});
  b.node("Erf", {"scaled"}, {"erf"});
  b.node("Add", {"erf", "one"}, {"sum"});
  b.node("Mul", {"a", "sum"}, {"product"});
  b.node("Mul", {"product", "half"}, {"h"});
  ModelBuilder::attribute(b.node("Gemm", {"h", "w2", "b2"}, {"logits"}), "transB", 1);
  b.node("Softmax", {"logits"}, {"y"});
  b.output("y", {-1, 3});
  return b;
}

} // namespace mlp::native::test
