// Shape, layout and initial values of a network.
#include "core/train/network.hpp"

#include "core/base/error.hpp"
#include "kernels/philox.hpp"

#include <cmath>
#include <string>
#include <utility>

namespace mlp::train {

namespace {

constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;
constexpr std::int64_t kMaxParameters = std::int64_t{1} << 30;
constexpr std::size_t kMaxHidden = 64;
constexpr std::int64_t kGap = 16; // floats in a cache line

void check_width(const std::string& what, std::int64_t width) {
  if (width < 1 || width > kMaxWidth)
    throw Error(ErrorKind::config, what + " is " + std::to_string(width) + ", it has to be 1 to " +
                                       std::to_string(kMaxWidth));
}

} // namespace

void check(const NetworkSpec& spec) {
  check_width("the number of inputs", spec.inputs);
  check_width("the number of outputs", spec.outputs);
  if (spec.hidden.size() > kMaxHidden)
    throw Error(ErrorKind::config, "the network has " + std::to_string(spec.hidden.size()) +
                                       " hidden layers, at most " + std::to_string(kMaxHidden) +
                                       " are possible");
  std::int64_t parameters = 0;
  std::int64_t inputs = spec.inputs;
  for (std::size_t i = 0; i < spec.hidden.size(); ++i) {
    const HiddenLayer& layer = spec.hidden[i];
    const std::string name = "hidden layer " + std::to_string(i + 1);
    check_width("the width of " + name, layer.width);
    if (!(layer.dropout >= 0.0F && layer.dropout < 1.0F))
      throw Error(ErrorKind::config,
                  "the dropout of " + name + " has to be at least 0 and less than 1");
    parameters += (inputs + 3) * layer.width;
    inputs = layer.width;
    if (parameters > kMaxParameters) break;
  }
  parameters += (inputs + 1) * spec.outputs;
  if (parameters > kMaxParameters)
    throw Error(ErrorKind::config, "the network has more than 2^30 parameters")
        .with_hint("choose fewer or narrower hidden layers");
}

Network::Network(NetworkSpec spec, std::uint64_t seed) : spec_(std::move(spec)) {
  check(spec_);
  std::int64_t end = 0;
  const auto place = [&end](std::int64_t size) {
    const std::int64_t at = end;
    end += (size + kGap - 1) / kGap * kGap;
    return at;
  };
  const std::size_t count = spec_.hidden.size() + 1;
  const auto width = [&](std::size_t layer) {
    return layer < spec_.hidden.size() ? spec_.hidden[layer].width : spec_.outputs;
  };
  const auto fan_in = [&](std::size_t layer) {
    return layer == 0 ? spec_.inputs : width(layer - 1);
  };

  offsets_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    offsets_[i].weight = place(width(i) * fan_in(i));
    parameter_count_ += width(i) * (fan_in(i) + 1);
  }
  decayed_ = end;
  for (std::size_t i = 0; i < count; ++i) {
    offsets_[i].bias = place(width(i));
    if (i < spec_.hidden.size() && spec_.hidden[i].batch_norm) {
      offsets_[i].gamma = place(width(i));
      offsets_[i].beta = place(width(i));
      parameter_count_ += width(i); // its bias is not trained: the normalisation takes it away
    }
  }
  values_.assign(static_cast<std::size_t>(end), 0.0F);

  end = 0;
  for (std::size_t i = 0; i < spec_.hidden.size(); ++i) {
    if (!spec_.hidden[i].batch_norm) continue;
    offsets_[i].mean = place(width(i));
    offsets_[i].variance = place(width(i));
  }
  statistics_.assign(static_cast<std::size_t>(end), 0.0F);

  for (std::size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    // He et al. 2015 for layers that rectify; the last one is linear.
    const float bound = std::sqrt((last ? 3.0F : 6.0F) / static_cast<float>(fan_in(i)));
    kernels::PhiloxSequence random(seed, i);
    float* weight = values_.data() + offsets_[i].weight;
    for (std::int64_t j = 0; j < width(i) * fan_in(i); ++j)
      weight[j] = (2.0F * random.uniform() - 1.0F) * bound;
    if (offsets_[i].gamma >= 0) {
      float* gamma = values_.data() + offsets_[i].gamma;
      float* variance = statistics_.data() + offsets_[i].variance;
      for (std::int64_t j = 0; j < width(i); ++j)
        gamma[j] = variance[j] = 1.0F;
    }
  }
}

std::vector<LayerView> Network::layers() const {
  std::vector<LayerView> views;
  views.reserve(offsets_.size());
  std::int64_t inputs = spec_.inputs;
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    const bool last = i == spec_.hidden.size();
    const std::int64_t width = last ? spec_.outputs : spec_.hidden[i].width;
    const auto part = [](const std::vector<float>& from, std::int64_t at, std::int64_t size) {
      return std::span<const float>(from).subspan(static_cast<std::size_t>(at),
                                                  static_cast<std::size_t>(size));
    };
    LayerView view;
    view.inputs = inputs;
    view.outputs = width;
    view.weight = part(values_, offsets_[i].weight, width * inputs);
    view.bias = part(values_, offsets_[i].bias, width);
    view.activation = last ? Activation::none : spec_.hidden[i].activation;
    if (offsets_[i].gamma >= 0) {
      view.batch_norm = true;
      view.gamma = part(values_, offsets_[i].gamma, width);
      view.beta = part(values_, offsets_[i].beta, width);
      view.mean = part(statistics_, offsets_[i].mean, width);
      view.variance = part(statistics_, offsets_[i].variance, width);
      view.epsilon = kBatchNormEpsilon;
    }
    views.push_back(view);
    inputs = width;
  }
  return views;
}

} // namespace mlp::train
