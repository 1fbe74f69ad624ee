// Building an ONNX graph: unique names, initialisers, nodes. Only for .cpp files of the export.
#pragma once

#include "core/model/tensor.hpp"

#include "onnx.pb.h"

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::train {

// Every method that makes a value returns its name, which is `name` made unique.
class OnnxGraph {
 public:
  explicit OnnxGraph(onnx::GraphProto& graph) : graph_(graph) {}

  // First dimension "N"; the others are `rest`.
  std::string input(const model::TensorSpec& spec);
  void output(const model::TensorSpec& spec); // the value `spec.name` must have been made

  std::string floats(std::string_view name, std::span<const float> values,
                     std::vector<std::int64_t> shape);
  std::string integers(std::string_view name, std::span<const std::int64_t> values,
                       std::vector<std::int64_t> shape);
  std::string strings(std::string_view name, std::span<const std::string> values);

  // A node with one output, named as its output.
  struct Node {
    onnx::NodeProto& proto;
    std::string output;
    Node& attribute(std::string_view name, std::int64_t value);
    Node& attribute(std::string_view name, std::span<const std::string> values);
    Node& attribute(std::string_view name, std::span<const std::int64_t> values);
  };
  Node node(std::string_view type, std::string_view name, std::vector<std::string> inputs);
  // A node with several outputs; returns their names.
  std::vector<std::string> split(std::string_view name, const std::string& input,
                                 std::span<const std::int64_t> sizes);

 private:
  std::string unique(std::string_view name);
  onnx::TensorProto& initializer(const std::string& name, std::span<const std::int64_t> shape);

  onnx::GraphProto& graph_;
  std::set<std::string, std::less<>> names_;
};

} // namespace mlp::train
