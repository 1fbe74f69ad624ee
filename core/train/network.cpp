// Shape, layout and initial values of a network.
#include "core/train/network.hpp"

#include "core/base/error.hpp"
#include "kernels/philox.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace mlp::train {

namespace {

constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;
constexpr std::int64_t kMaxParameters = std::int64_t{1} << 30;
constexpr std::size_t kMaxHidden = 64;
constexpr std::int64_t kGap = 16; // floats in a cache line

constexpr std::size_t kMaxConv = 64;
constexpr std::int64_t kMaxFilters = std::int64_t{1} << 14;
constexpr std::int64_t kMaxExtent = 31;
constexpr std::int64_t kMaxValues = std::int64_t{1} << 26; // behind a convolution, of one row

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorKind::config, message);
}

void check_range(const std::string& what, std::int64_t value, std::int64_t most) {
  if (value < 1 || value > most)
    refuse(what + " is " + std::to_string(value) + ", it has to be 1 to " + std::to_string(most));
}

void check_dropout(const std::string& name, float dropout) {
  if (!(dropout >= 0.0F && dropout < 1.0F))
    refuse("the dropout of " + name + " has to be at least 0 and less than 1");
}

std::string text(std::int64_t height, std::int64_t width) {
  return std::to_string(height) + "x" + std::to_string(width);
}

// Along one axis: positions of the window, and the zeros before and behind.
struct Positions {
  std::int64_t count = 0, begin = 0, end = 0;
};
Positions positions(std::int64_t in, std::int64_t kernel, std::int64_t stride, bool same) {
  if (!same) return {(in - kernel) / stride + 1, 0, 0};
  const std::int64_t count = (in + stride - 1) / stride;
  const std::int64_t zeros = std::max<std::int64_t>((count - 1) * stride + kernel - in, 0);
  return {count, zeros / 2, zeros - zeros / 2};
}

ConvShape shape_of(const ConvLayer& layer, const ImageShape& in, const std::string& name) {
  const auto need = [&](const char* what, const Extent& window, const ImageShape& of) {
    if (window.height <= of.height && window.width <= of.width) return;
    throw Error(ErrorKind::config, "the " + std::string(what) + " of " + name + ", " +
                                       text(window.height, window.width) +
                                       ", does not fit into the " + text(of.height, of.width) +
                                       " that it is given")
        .with_hint("choose a smaller window, 'padding: same', or fewer layers that make it small");
  };
  if (!layer.same) need("kernel_size", layer.kernel, in);
  const Positions down = positions(in.height, layer.kernel.height, layer.stride.height, layer.same);
  const Positions across = positions(in.width, layer.kernel.width, layer.stride.width, layer.same);
  ConvShape shape;
  shape.in = in;
  shape.pad_begin = {down.begin, across.begin};
  shape.pad_end = {down.end, across.end};
  shape.conv = shape.out = {down.count, across.count, layer.filters};
  if (layer.pooling == Pooling::none) return shape;
  need("pool_size", layer.pool, shape.conv);
  shape.out.height /= layer.pool.height;
  shape.out.width /= layer.pool.width;
  return shape;
}

void check_conv(const ConvLayer& layer, const std::string& name) {
  check_range("the number of filters of " + name, layer.filters, kMaxFilters);
  for (const auto& [what, extent] :
       {std::pair{"kernel_size", layer.kernel}, std::pair{"stride", layer.stride},
        std::pair{"pool_size", layer.pool}}) {
    check_range("the height of the " + std::string(what) + " of " + name, extent.height,
                kMaxExtent);
    check_range("the width of the " + std::string(what) + " of " + name, extent.width, kMaxExtent);
  }
  check_dropout(name, layer.dropout);
}

void check_image(const NetworkSpec& spec) {
  if (spec.conv.empty()) return;
  check_range("the height of the images", spec.image.height, kMaxWidth);
  check_range("the width of the images", spec.image.width, kMaxWidth);
  check_range("the number of channels of the images", spec.image.channels, kMaxFilters);
  if (spec.image.size() != spec.inputs)
    refuse("rows of " + std::to_string(spec.inputs) + " inputs are no images of " +
           text(spec.image.height, spec.image.width) + "x" + std::to_string(spec.image.channels));
}

std::string conv_name(std::size_t i) {
  return "convolution " + std::to_string(i + 1);
}

// A layer without its values.
struct Part {
  std::int64_t inputs = 0, outputs = 0; // as LayerView
  Activation activation = Activation::none;
  bool batch_norm = false;
  const ConvLayer* conv = nullptr;
  ConvShape shape;
};

std::vector<Part> parts_of(const NetworkSpec& spec) {
  std::vector<Part> parts;
  std::int64_t inputs = spec.inputs;
  const std::vector<ConvShape> shapes = conv_shapes(spec);
  for (std::size_t i = 0; i < spec.conv.size(); ++i) {
    const ConvLayer& layer = spec.conv[i];
    parts.push_back({layer.kernel.height * layer.kernel.width * shapes[i].in.channels,
                     layer.filters, layer.activation, layer.batch_norm, &layer, shapes[i]});
    inputs = shapes[i].out.size();
  }
  for (const HiddenLayer& layer : spec.hidden) {
    parts.push_back({inputs, layer.width, layer.activation, layer.batch_norm, nullptr, {}});
    inputs = layer.width;
  }
  parts.push_back({inputs, spec.outputs, Activation::none, false, nullptr, {}});
  return parts;
}

} // namespace

std::vector<ConvShape> conv_shapes(const NetworkSpec& spec) {
  std::vector<ConvShape> shapes;
  ImageShape image = spec.image;
  for (std::size_t i = 0; i < spec.conv.size(); ++i) {
    shapes.push_back(shape_of(spec.conv[i], image, conv_name(i)));
    image = shapes.back().out;
  }
  return shapes;
}

std::int64_t rows_at_once(const NetworkSpec& spec) {
  constexpr std::int64_t kMostRows = 1024, kMostAtOnce = std::int64_t{1} << 23;
  std::int64_t widest = 1;
  for (const ConvShape& shape : conv_shapes(spec))
    widest = std::max({widest, shape.in.size(), shape.conv.size()});
  return std::clamp<std::int64_t>(kMostAtOnce / widest, 1, kMostRows);
}

void check(const NetworkSpec& spec) {
  check_range("the number of inputs", spec.inputs, kMaxWidth);
  check_range("the number of outputs", spec.outputs, kMaxWidth);
  if (spec.hidden.size() > kMaxHidden)
    refuse("the network has " + std::to_string(spec.hidden.size()) + " hidden layers, at most " +
           std::to_string(kMaxHidden) + " are possible");
  if (spec.conv.size() > kMaxConv)
    refuse("the network has " + std::to_string(spec.conv.size()) + " convolutions, at most " +
           std::to_string(kMaxConv) + " are possible");
  for (std::size_t i = 0; i < spec.hidden.size(); ++i) {
    const std::string name = "hidden layer " + std::to_string(i + 1);
    check_range("the width of " + name, spec.hidden[i].width, kMaxWidth);
    check_dropout(name, spec.hidden[i].dropout);
  }
  check_image(spec);
  for (std::size_t i = 0; i < spec.conv.size(); ++i)
    check_conv(spec.conv[i], conv_name(i));
  const std::vector<ConvShape> shapes = conv_shapes(spec);
  for (std::size_t i = 0; i < shapes.size(); ++i)
    if (shapes[i].conv.size() > kMaxValues)
      throw Error(ErrorKind::config, conv_name(i) + " gives " +
                                         std::to_string(shapes[i].conv.size()) +
                                         " values for each row, at most 2^26 are possible")
          .with_hint("choose fewer filters, or a stride or a pool before it");
  std::int64_t parameters = 0;
  for (const Part& part : parts_of(spec)) {
    parameters += (part.inputs + 3) * part.outputs; // at most 2^47 at once
    if (parameters > kMaxParameters)
      throw Error(ErrorKind::config, "the network has more than 2^30 parameters")
          .with_hint("choose fewer or narrower layers");
  }
}

Network::Network(NetworkSpec spec, std::uint64_t seed) : spec_(std::move(spec)) {
  check(spec_);
  std::int64_t end = 0;
  const auto place = [&end](std::int64_t size) {
    const std::int64_t at = end;
    end += (size + kGap - 1) / kGap * kGap;
    return at;
  };
  const std::vector<Part> parts = parts_of(spec_);

  offsets_.resize(parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    offsets_[i].weight = place(parts[i].outputs * parts[i].inputs);
    parameter_count_ += parts[i].outputs * (parts[i].inputs + 1);
  }
  decayed_ = end;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    offsets_[i].bias = place(parts[i].outputs);
    if (!parts[i].batch_norm) continue;
    offsets_[i].gamma = place(parts[i].outputs);
    offsets_[i].beta = place(parts[i].outputs);
    parameter_count_ += parts[i].outputs; // its bias is not trained: the mean takes it away
  }
  values_.assign(static_cast<std::size_t>(end), 0.0F);

  end = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].batch_norm) continue;
    offsets_[i].mean = place(parts[i].outputs);
    offsets_[i].variance = place(parts[i].outputs);
  }
  statistics_.assign(static_cast<std::size_t>(end), 0.0F);

  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    // He et al. 2015 for layers that rectify; the last one is linear.
    const float bound = std::sqrt((last ? 3.0F : 6.0F) / static_cast<float>(parts[i].inputs));
    kernels::PhiloxSequence random(seed, i);
    float* weight = values_.data() + offsets_[i].weight;
    for (std::int64_t j = 0; j < parts[i].outputs * parts[i].inputs; ++j)
      weight[j] = (2.0F * random.uniform() - 1.0F) * bound;
    if (offsets_[i].gamma >= 0) {
      float* gamma = values_.data() + offsets_[i].gamma;
      float* variance = statistics_.data() + offsets_[i].variance;
      for (std::int64_t j = 0; j < parts[i].outputs; ++j)
        gamma[j] = variance[j] = 1.0F;
    }
  }
}

std::vector<LayerView> Network::layers() const {
  const auto part = [](const std::vector<float>& from, std::int64_t at, std::int64_t size) {
    return std::span<const float>(from).subspan(static_cast<std::size_t>(at),
                                                static_cast<std::size_t>(size));
  };
  std::vector<LayerView> views;
  if (offsets_.empty()) return views; // not made yet
  views.reserve(offsets_.size());
  for (const Part& shape : parts_of(spec_)) {
    const LayerOffsets& at = offsets_[views.size()];
    LayerView view;
    view.inputs = shape.inputs;
    view.outputs = shape.outputs;
    view.weight = part(values_, at.weight, shape.outputs * shape.inputs);
    view.bias = part(values_, at.bias, shape.outputs);
    view.activation = shape.activation;
    view.conv = shape.conv;
    view.shape = shape.shape;
    if (at.gamma >= 0) {
      view.batch_norm = true;
      view.gamma = part(values_, at.gamma, shape.outputs);
      view.beta = part(values_, at.beta, shape.outputs);
      view.mean = part(statistics_, at.mean, shape.outputs);
      view.variance = part(statistics_, at.variance, shape.outputs);
      view.epsilon = kBatchNormEpsilon;
    }
    views.push_back(view);
  }
  return views;
}

} // namespace mlp::train
