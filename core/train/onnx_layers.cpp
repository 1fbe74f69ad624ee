// Batch normalisations are folded into the layers (in double); dropout does nothing in a model that
// is trained. The trainer has an image's channels last and ONNX first, so weights are turned.
#include "core/train/onnx_layers.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>
#include <vector>

namespace mlp::train {
namespace {

class Layers {
 public:
  Layers(OnnxGraph& graph, const Network& network) : graph_(graph), network_(network) {}

  std::string add(std::string x) {
    const std::vector<LayerView> layers = network_.layers();
    const std::size_t convs = network_.spec().conv.size();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (layers[i].conv != nullptr) {
        x = convolution(std::move(x), layers[i], fmt::format("conv_{}", i + 1));
        continue;
      }
      const std::string name =
          i + 1 < layers.size() ? fmt::format("dense_{}", i + 1 - convs) : std::string("dense_out");
      const ImageShape image =
          i > 0 && i == convs ? layers[i - 1].shape.out : ImageShape{1, 1, layers[i].inputs};
      if (i > 0 && i == convs)
        x = graph_.node("Flatten", "flat", {std::move(x)}).attribute("axis", 1).output;
      x = activation(dense(std::move(x), layers[i], image, name), layers[i].activation, name);
    }
    return x;
  }

 private:
  std::string scalar(std::string_view name, float value) {
    return graph_.floats(name, {&value, 1}, {});
  }

  std::string dense(std::string x, const LayerView& layer, const ImageShape& image,
                    const std::string& name) {
    auto [weight, bias] = folded(layer);
    weight = channels_first(std::move(weight), layer.outputs, image.height * image.width,
                            image.channels);
    return graph_
        .node("Gemm", name,
              {std::move(x), graph_.floats(name + "/weight", weight, {layer.outputs, layer.inputs}),
               graph_.floats(name + "/bias", bias, {layer.outputs})})
        .attribute("transB", 1)
        .output;
  }

  std::string convolution(std::string x, const LayerView& layer, const std::string& name) {
    const ConvLayer& conv = *layer.conv;
    const ConvShape& shape = layer.shape;
    auto [weight, bias] = folded(layer);
    weight = channels_first(std::move(weight), layer.outputs,
                            conv.kernel.height * conv.kernel.width, shape.in.channels);
    const std::array<std::int64_t, 2> kernel = {conv.kernel.height, conv.kernel.width};
    const std::array<std::int64_t, 2> strides = {conv.stride.height, conv.stride.width};
    const std::array<std::int64_t, 4> pads = {shape.pad_begin.height, shape.pad_begin.width,
                                              shape.pad_end.height, shape.pad_end.width};
    x = graph_
            .node("Conv", name,
                  {std::move(x),
                   graph_.floats(name + "/weight", weight,
                                 {layer.outputs, shape.in.channels, kernel[0], kernel[1]}),
                   graph_.floats(name + "/bias", bias, {layer.outputs})})
            .attribute("kernel_shape", std::span<const std::int64_t>(kernel))
            .attribute("strides", std::span<const std::int64_t>(strides))
            .attribute("pads", std::span<const std::int64_t>(pads))
            .output;
    x = activation(std::move(x), layer.activation, name);
    if (conv.pooling == Pooling::none) return x;
    const std::array<std::int64_t, 2> window = {conv.pool.height, conv.pool.width};
    return graph_
        .node(conv.pooling == Pooling::max ? "MaxPool" : "AveragePool", name + "/pool",
              {std::move(x)})
        .attribute("kernel_shape", std::span<const std::int64_t>(window))
        .attribute("strides", std::span<const std::int64_t>(window))
        .output;
  }

  // [outputs, positions, channels] as [outputs, channels, positions].
  static std::vector<float> channels_first(std::vector<float> weight, std::int64_t outputs,
                                           std::int64_t positions, std::int64_t channels) {
    if (positions == 1 || channels == 1) return weight;
    std::vector<float> turned(weight.size());
    const auto p = static_cast<std::size_t>(positions), c = static_cast<std::size_t>(channels);
    for (std::size_t o = 0; o < static_cast<std::size_t>(outputs); ++o)
      for (std::size_t at = 0; at < p; ++at)
        for (std::size_t channel = 0; channel < c; ++channel)
          turned[(o * c + channel) * p + at] = weight[(o * p + at) * c + channel];
    return turned;
  }

  // Weight and bias with the normalisation in them.
  static std::pair<std::vector<float>, std::vector<float>> folded(const LayerView& layer) {
    std::vector<float> weight(layer.weight.begin(), layer.weight.end());
    std::vector<float> bias(layer.bias.begin(), layer.bias.end());
    if (layer.batch_norm) fold(layer, weight, bias);
    return {std::move(weight), std::move(bias)};
  }

  // gamma (w x + b - mean) / sqrt(variance + epsilon) + beta, as one weight and one bias.
  static void fold(const LayerView& layer, std::vector<float>& weight, std::vector<float>& bias) {
    const auto inputs = static_cast<std::size_t>(layer.inputs);
    for (std::size_t o = 0; o < bias.size(); ++o) {
      const double factor =
          double{layer.gamma[o]} / std::sqrt(double{layer.variance[o]} + double{layer.epsilon});
      for (std::size_t i = o * inputs; i < (o + 1) * inputs; ++i)
        weight[i] = static_cast<float>(factor * double{weight[i]});
      bias[o] = static_cast<float>(factor * (double{bias[o]} - double{layer.mean[o]}) +
                                   double{layer.beta[o]});
    }
  }

  std::string activation(std::string x, Activation kind, const std::string& name) {
    switch (kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return graph_.node("Relu", name + "/relu", {std::move(x)}).output;
    case Activation::tanh:
      return graph_.node("Tanh", name + "/tanh", {std::move(x)}).output;
    case Activation::gelu:
      break;
    }
    // Opset 17 has no Gelu: x * (1 + erf(x / sqrt 2)) / 2.
    const std::string scaled =
        graph_.node("Mul", name + "/gelu/scaled", {x, scalar(name + "/gelu/rsqrt2", 0.70710678F)})
            .output;
    const std::string erf = graph_.node("Erf", name + "/gelu/erf", {scaled}).output;
    const std::string sum =
        graph_.node("Add", name + "/gelu/sum", {erf, scalar(name + "/gelu/one", 1.0F)}).output;
    const std::string product = graph_.node("Mul", name + "/gelu/product", {x, sum}).output;
    return graph_.node("Mul", name + "/gelu", {product, scalar(name + "/gelu/half", 0.5F)}).output;
  }

  OnnxGraph& graph_;
  const Network& network_;
};

} // namespace

std::string add_layers(OnnxGraph& graph, const Network& network, std::string x) {
  return Layers(graph, network).add(std::move(x));
}

} // namespace mlp::train
