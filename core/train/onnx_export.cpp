// Numeric columns are joined first, so that imputing and standardising are a few nodes however many
// columns there are; each category has an encoder and a one-hot of its own.
#include "core/train/onnx_export.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/train/classes.hpp"
#include "core/train/onnx_graph.hpp"
#include "core/train/onnx_layers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace mlp::train {
namespace {

using model::DataType;

class Exporter {
 public:
  Exporter(const ExportedModel& from, onnx::GraphProto& proto)
      : from_(from), signature_(signature_of(from)), graph_(proto) {}

  void run() {
    std::vector<std::string> inputs;
    for (const model::TensorSpec& spec : signature_.inputs)
      inputs.push_back(graph_.input(spec));
    std::string x = from_.features.image_shape.empty() ? columns(inputs) : image(inputs[0]);
    x = add_layers(graph_, from_.network, std::move(x));
    if (from_.kind == config::TrainerKind::classifier)
      classes(x);
    else
      prediction(x);
    for (const model::TensorSpec& spec : signature_.outputs)
      graph_.output(spec);
  }

 private:
  std::string scalar(std::string_view name, float value) {
    return graph_.floats(name, {&value, 1}, {});
  }
  std::string row(std::string_view name, const std::vector<float>& values) {
    return graph_.floats(name, values, {1, static_cast<std::int64_t>(values.size())});
  }
  // One value stands for itself; several are joined side by side.
  std::string join(std::string_view name, std::vector<std::string> values) {
    if (values.size() == 1) return std::move(values[0]);
    return graph_.node("Concat", name, std::move(values)).attribute("axis", 1).output;
  }

  std::string image(const std::string& input) {
    const std::string pixels = graph_.node("Cast", "pixels/float", {input})
                                   .attribute("to", onnx::TensorProto::FLOAT)
                                   .output;
    const std::string shaped =
        from_.network.spec().conv.empty() ? flat(pixels, "pixels/flat") : channel(pixels);
    const std::string centred =
        graph_
            .node("Sub", "pixels/centred",
                  {shaped, scalar("pixels/mean", from_.features.pixel_mean)})
            .output;
    return graph_
        .node("Mul", "pixels/standardised",
              {centred, scalar("pixels/scale", from_.features.pixel_scale)})
        .output;
  }

  std::string flat(const std::string& x, std::string_view name) {
    return graph_.node("Flatten", name, {x}).attribute("axis", 1).output;
  }

  // [N, height, width] as [N, 1, height, width].
  std::string channel(const std::string& x) {
    const std::int64_t axis = 1;
    return graph_
        .node("Unsqueeze", "pixels/channel", {x, graph_.integers("pixels/axes", {&axis, 1}, {1})})
        .output;
  }

  std::string columns(const std::vector<std::string>& inputs) {
    const std::size_t numbers = from_.features.numeric.size();
    std::vector<std::string> parts;
    if (numbers > 0)
      numeric({inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(numbers)}, parts);
    for (std::size_t i = numbers; i < inputs.size(); ++i)
      parts.push_back(category(inputs[i], from_.features.categorical[i - numbers]));
    return join("features", std::move(parts));
  }

  void numeric(std::vector<std::string> inputs, std::vector<std::string>& parts) {
    std::vector<float> medians, means, scales;
    std::vector<std::int64_t> indicators;
    std::int64_t plain = 0;
    for (const NumericFeature& feature : from_.features.numeric) {
      if (feature.indicator) indicators.push_back(static_cast<std::int64_t>(medians.size()));
      medians.push_back(feature.median);
      means.push_back(feature.mean);
      scales.push_back(feature.scale);
      plain += feature.log ? 0 : 1;
    }
    const auto count = static_cast<std::int64_t>(medians.size());
    const std::string raw = join("numeric", std::move(inputs));
    const std::string blank = graph_.node("IsNaN", "numeric/blank", {raw}).output;
    std::string x =
        graph_.node("Where", "numeric/filled", {blank, row("numeric/median", medians), raw}).output;
    if (plain < count) x = logarithm(x, plain, count);
    x = graph_.node("Sub", "numeric/centred", {x, row("numeric/mean", means)}).output;
    parts.push_back(
        graph_.node("Mul", "numeric/standardised", {x, row("numeric/scale", scales)}).output);
    if (indicators.empty()) return;
    std::string flags = graph_.node("Cast", "numeric/blank/float", {blank})
                            .attribute("to", onnx::TensorProto::FLOAT)
                            .output;
    if (static_cast<std::int64_t>(indicators.size()) < count) {
      const std::string index = graph_.integers("numeric/blank/columns", indicators,
                                                {static_cast<std::int64_t>(indicators.size())});
      flags = graph_.node("Gather", "numeric/blank/indicators", {flags, index})
                  .attribute("axis", 1)
                  .output;
    }
    parts.push_back(std::move(flags));
  }

  // log(1 + max(x, 0)) of the columns from `plain` on.
  std::string logarithm(const std::string& x, std::int64_t plain, std::int64_t count) {
    std::string rest, skewed = x;
    if (plain > 0) {
      const std::int64_t sizes[] = {plain, count - plain};
      const std::vector<std::string> halves = graph_.split("numeric/log/split", x, sizes);
      rest = halves[0];
      skewed = halves[1];
    }
    skewed = graph_.node("Relu", "numeric/log/positive", {skewed}).output;
    skewed = graph_.node("Add", "numeric/log/plus_one", {skewed, scalar("numeric/log/one", 1.0F)})
                 .output;
    skewed = graph_.node("Log", "numeric/log", {skewed}).output;
    if (plain == 0) return skewed;
    return join("numeric/transformed", {rest, skewed});
  }

  // Text to number, blanks and unknown values included; then one-hot, where a number outside the
  // depth gives zeros.
  std::string category(const std::string& input, const CategoryFeature& feature) {
    const std::string name = "category/" + feature.name;
    std::vector<std::string> keys = feature.values;
    std::vector<std::int64_t> values(keys.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<std::int64_t>(i);
    for (const std::string& blank : from_.features.blanks) {
      if (std::find(keys.begin(), keys.end(), blank) != keys.end()) continue;
      keys.push_back(blank);
      values.push_back(feature.blank_index());
    }
    OnnxGraph::Node encoder = graph_.node("LabelEncoder", name + "/index", {input});
    encoder.proto.set_domain("ai.onnx.ml");
    encoder.attribute("keys_strings", std::span<const std::string>(keys))
        .attribute("values_int64s", std::span<const std::int64_t>(values))
        .attribute("default_int64", feature.unknown_index());
    const std::int64_t depth = feature.width(), axis = 1;
    const std::vector<float> off_on = {0.0F, 1.0F};
    const std::string hot =
        graph_
            .node("OneHot", name + "/one_hot",
                  {encoder.output, graph_.integers(name + "/depth", {&depth, 1}, {}),
                   graph_.floats(name + "/off_on", off_on, {2})})
            .attribute("axis", -1)
            .output;
    return graph_.node("Squeeze", name, {hot, graph_.integers(name + "/axes", {&axis, 1}, {1})})
        .output;
  }

  void classes(const std::string& logits) {
    const std::string best = graph_.node("ArgMax", "best", {logits})
                                 .attribute("axis", 1)
                                 .attribute("keepdims", 0)
                                 .output;
    std::string names;
    if (const auto integers = integer_classes(from_.classes))
      names = graph_.integers("classes", *integers, {static_cast<std::int64_t>(integers->size())});
    else
      names = graph_.strings("classes", from_.classes);
    static_cast<void>(
        graph_.node("Gather", signature_.outputs[0].name, {names, best}).attribute("axis", 0));
    static_cast<void>(
        graph_.node("Softmax", signature_.outputs[1].name, {logits}).attribute("axis", 1));
  }

  void prediction(const std::string& x) {
    const std::int64_t axis = 1;
    const std::string flat =
        graph_.node("Squeeze", "standardised", {x, graph_.integers("target/axes", {&axis, 1}, {1})})
            .output;
    const std::string scaled =
        graph_.node("Mul", "target/scaled", {flat, scalar("target/scale", from_.target_scale)})
            .output;
    static_cast<void>(graph_.node("Add", signature_.outputs[0].name,
                                  {scaled, scalar("target/mean", from_.target_mean)}));
  }

  const ExportedModel& from_;
  model::Signature signature_;
  OnnxGraph graph_;
};

} // namespace

model::Signature signature_of(const ExportedModel& from) {
  model::Signature signature;
  if (!from.features.image_shape.empty()) {
    model::Shape shape = from.features.image_shape;
    shape.insert(shape.begin(), -1);
    signature.inputs.push_back({"image", DataType::uint8, std::move(shape)});
  }
  for (const NumericFeature& feature : from.features.numeric)
    signature.inputs.push_back({feature.name, DataType::float32, {-1, 1}});
  for (const CategoryFeature& feature : from.features.categorical)
    signature.inputs.push_back({feature.name, DataType::string, {-1, 1}});
  const auto free_name = [&](std::string name) {
    const auto is_taken = [&](const model::TensorSpec& spec) { return spec.name == name; };
    while (std::any_of(signature.inputs.begin(), signature.inputs.end(), is_taken))
      name += '_';
    return name;
  };
  if (from.kind == config::TrainerKind::regressor) {
    signature.outputs.push_back({free_name("prediction"), DataType::float32, {-1}});
    return signature;
  }
  const DataType label = integer_classes(from.classes) ? DataType::int64 : DataType::string;
  const auto count = static_cast<std::int64_t>(from.classes.size());
  signature.outputs.push_back({free_name("label"), label, {-1}});
  signature.outputs.push_back({free_name("probabilities"), DataType::float32, {-1, count}});
  return signature;
}

std::string onnx_bytes(const ExportedModel& from) {
  onnx::ModelProto proto;
  proto.set_ir_version(8);
  proto.set_producer_name("mlp");
  auto& opset = *proto.add_opset_import();
  opset.set_domain("");
  opset.set_version(17);
  if (!from.features.categorical.empty()) {
    auto& ml = *proto.add_opset_import();
    ml.set_domain("ai.onnx.ml");
    ml.set_version(2);
  }
  proto.mutable_graph()->set_name(from.kind == config::TrainerKind::classifier ? "classifier"
                                                                               : "regressor");
  Exporter(from, *proto.mutable_graph()).run();
  for (const auto& [name, text] : from.metadata) {
    auto& property = *proto.add_metadata_props();
    property.set_key(name);
    property.set_value(text);
  }
  const std::size_t size = proto.ByteSizeLong();
  if (size > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    throw Error(ErrorKind::failed, fmt::format("the model needs {}, more than the 2 GiB that an "
                                               "ONNX file may have",
                                               format_bytes(size)));
  return proto.SerializeAsString();
}

} // namespace mlp::train
