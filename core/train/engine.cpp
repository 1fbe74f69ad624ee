// The buffers of a network and the plans for its products; engine_steps.cpp has the passes.
#include "core/train/engine.hpp"

#include <algorithm>

namespace mlp::train {

using kernels::Buffer;
using kernels::MatmulSpec;

namespace {

kernels::Activation on_device(Activation activation) noexcept {
  switch (activation) {
  case Activation::none:
    return kernels::Activation::none;
  case Activation::relu:
    return kernels::Activation::relu;
  case Activation::gelu:
    return kernels::Activation::gelu;
  case Activation::tanh:
    return kernels::Activation::tanh;
  }
  return kernels::Activation::none;
}

std::size_t bytes(std::int64_t count) noexcept {
  return static_cast<std::size_t>(count) * sizeof(float);
}

kernels::ConvSpec conv_spec(const ConvLayer& layer, const ConvShape& shape) {
  kernels::ConvSpec spec;
  spec.channels = shape.in.channels;
  spec.out_channels = layer.filters;
  spec.in[0] = shape.in.height;
  spec.in[1] = shape.in.width;
  kernels::Window& window = spec.window;
  window.rank = 2;
  window.kernel[0] = layer.kernel.height;
  window.kernel[1] = layer.kernel.width;
  window.stride[0] = layer.stride.height;
  window.stride[1] = layer.stride.width;
  window.pad_begin[0] = shape.pad_begin.height;
  window.pad_begin[1] = shape.pad_begin.width;
  window.pad_end[0] = shape.pad_end.height;
  window.pad_end[1] = shape.pad_end.width;
  return spec;
}

kernels::PoolSpec pool_spec(const ConvLayer& layer, const ConvShape& shape) {
  kernels::PoolSpec spec;
  spec.kind = layer.pooling == Pooling::max ? kernels::Pool::max : kernels::Pool::average;
  spec.channels = layer.filters;
  spec.in[0] = shape.conv.height;
  spec.in[1] = shape.conv.width;
  spec.out[0] = shape.out.height;
  spec.out[1] = shape.out.width;
  spec.window.rank = 2;
  spec.window.kernel[0] = spec.window.stride[0] = layer.pool.height;
  spec.window.kernel[1] = spec.window.stride[1] = layer.pool.width;
  return spec;
}

} // namespace

Error translate(const kernels::Error& error) {
  Error out(ErrorKind::failed, error.what());
  if (!error.hint().empty()) out.add_hint(error.hint());
  return out;
}

Engine::Engine(kernels::Device& device, const Network& network, std::int64_t max_rows,
               bool training, kernels::Stream stream)
    : device_(device), stream_(stream), training_(training), max_rows_(max_rows),
      size_(static_cast<std::int64_t>(network.values().size())), decayed_(network.decayed()),
      statistics_size_(static_cast<std::int64_t>(network.statistics().size())) {
  const NetworkSpec& spec = network.spec();
  values_ = floats(size_);
  statistics_ = floats(statistics_size_);
  input_ = floats(max_rows * spec.inputs);
  labels_ = floats(max_rows); // int32: as many bytes
  targets_ = floats(max_rows * spec.outputs);
  stats_ = Buffer(device_, sizeof(kernels::LossStats));
  state_ = Buffer(device_, sizeof(kernels::StepState));
  device_.zero(stream_, stats_.data(), stats_.bytes());

  const std::vector<LayerView> views = network.layers();
  std::int64_t widest = 0;
  for (std::size_t i = 0; i < views.size(); ++i) {
    const bool last = i + 1 == views.size();
    const std::size_t convs = spec.conv.size();
    const float dropout = i < convs ? spec.conv[i].dropout
                          : last    ? 0.0F
                                    : spec.hidden[i - convs].dropout;
    add_layer(views[i], dropout, last);
    layers_.back().at = network.offsets()[i];
    widest = std::max(widest, layers_.back().positions * layers_.back().outputs);
  }
  if (training_) {
    for (Buffer* buffer : {&gradients_, &first_, &second_}) {
      *buffer = floats(size_);
      device_.zero(stream_, buffer->data(), buffer->bytes());
    }
    gradient_a_ = floats(max_rows * widest);
    gradient_b_ = floats(max_rows * widest);
  }
  load(network);
}

void Engine::add_layer(const LayerView& view, float dropout, bool last) {
  Layer layer;
  layer.last = last;
  layer.inputs = view.inputs;
  layer.outputs = view.outputs;
  layer.batch_norm = view.batch_norm;
  layer.dropout = dropout;
  layer.activation = on_device(view.activation);
  // Bias and rectifier are then the product's own. The backward pass has no such fusion: cuBLASLt's
  // (DRELU_BGRAD) reads a mask of bits that the forward product would have to write, in rows padded
  // to 128 of them, and not for all sizes; our epilogue_backward is one pass over dy.
  layer.fused = view.conv == nullptr && !layer.batch_norm && !(dropout > 0.0F) &&
                (view.activation == Activation::none || view.activation == Activation::relu);
  if (view.conv != nullptr) {
    layer.conv = true;
    layer.pooled = view.conv->pooling != Pooling::none;
    layer.positions = view.shape.conv.height * view.shape.conv.width;
    layer.pooled_positions = view.shape.out.height * view.shape.out.width;
    layer.conv_spec = conv_spec(*view.conv, view.shape);
    layer.pool = pool_spec(*view.conv, view.shape);
  }
  const auto own = [&](std::int64_t count) {
    layer.owned.push_back(floats(count));
    return layer.owned.back().as<float>();
  };
  const std::int64_t size = max_rows_ * layer.positions * layer.outputs;
  layer.z = layer.normal = layer.y = own(size);
  if (training_ && layer.batch_norm) {
    layer.normal = layer.y = own(size);
    layer.mean = own(layer.outputs);
    layer.inv_std = own(layer.outputs);
  }
  if (training_ && layer.activation == kernels::Activation::gelu) layer.y = own(size);
  layer.out = layer.y;
  if (layer.pooled) {
    const std::int64_t pooled = max_rows_ * layer.pooled_positions * layer.outputs;
    layer.out = own(pooled);
    if (layer.pool.kind == kernels::Pool::max) {
      layer.owned.push_back(floats(pooled)); // int32: as many bytes
      layer.index = layer.owned.back().as<std::int32_t>();
    }
  }
  layers_.push_back(std::move(layer));
}

Buffer Engine::floats(std::int64_t count) {
  return Buffer(device_, bytes(count));
}

void Engine::load(const Network& network) {
  device_.copy_in(stream_, values_.data(), network.values().data(), bytes(size_));
  device_.copy_in(stream_, statistics_.data(), network.statistics().data(),
                  bytes(statistics_size_));
  device_.synchronize(stream_);
}

void Engine::store(Network& network) const {
  device_.copy_out(stream_, network.values().data(), values_.data(), bytes(size_));
  device_.copy_out(stream_, network.statistics().data(), statistics_.data(),
                   bytes(statistics_size_));
}

std::vector<float> Engine::optimizer_state() const {
  std::vector<float> state(static_cast<std::size_t>(2 * size_));
  device_.copy_out(stream_, state.data(), first_.data(), bytes(size_));
  device_.copy_out(stream_, state.data() + size_, second_.data(), bytes(size_));
  return state;
}

void Engine::set_optimizer_state(const std::vector<float>& state) {
  device_.copy_in(stream_, first_.data(), state.data(), bytes(size_));
  device_.copy_in(stream_, second_.data(), state.data() + size_, bytes(size_));
  device_.synchronize(stream_);
}

std::vector<float> Engine::gradients() const {
  std::vector<float> out(static_cast<std::size_t>(size_));
  device_.copy_out(stream_, out.data(), gradients_.data(), bytes(size_));
  return out;
}

template <class Plan>
void Engine::lend_workspace(const Plan& plan) {
  if (plan.workspace_bytes() > workspace_.bytes())
    workspace_ = Buffer(device_, plan.workspace_bytes());
}

Engine::LayerPlans Engine::plan_layer(const Layer& layer, std::int64_t rows) {
  LayerPlans plans;
  if (layer.conv) {
    kernels::ConvSpec spec = layer.conv_spec;
    spec.batch = rows;
    plans.conv = device_.plan_training(spec);
    lend_workspace(*plans.conv);
    return plans;
  }
  const auto plan = [&](const MatmulSpec& spec) {
    auto made = device_.plan(spec);
    lend_workspace(*made);
    return made;
  };
  MatmulSpec forward{.m = rows, .n = layer.outputs, .k = layer.inputs, .transpose_b = true};
  MatmulSpec infer = forward;
  infer.bias = true;
  if (!layer.batch_norm) infer.activation = layer.activation;
  plans.infer = plan(infer);
  if (!training_) return plans;
  if (!layer.fused) plans.forward = plan(forward);
  plans.weight = plan({.m = layer.outputs, .n = layer.inputs, .k = rows, .transpose_a = true});
  plans.data = plan({.m = rows, .n = layer.inputs, .k = layer.outputs});
  return plans;
}

void Engine::prepare(std::int64_t rows) {
  if (plans_.contains(rows)) return;
  Plans plans;
  for (const Layer& layer : layers_)
    plans.push_back(plan_layer(layer, rows));
  plans_.emplace(rows, std::move(plans));
}

const Engine::Plans& Engine::plans(std::int64_t rows) {
  if (rows > max_rows_)
    throw kernels::Error(kernels::ErrorKind::invalid, "a batch has more rows than prepared for");
  prepare(rows);
  return plans_.find(rows)->second;
}

} // namespace mlp::train
