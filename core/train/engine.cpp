// The buffers of a network and the order of operations on them.
#include "core/train/engine.hpp"

#include <algorithm>
#include <string>

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

  std::int64_t widest = spec.outputs;
  std::int64_t inputs = spec.inputs;
  for (std::size_t i = 0; i <= spec.hidden.size(); ++i) {
    Layer layer;
    layer.last = i == spec.hidden.size();
    layer.at = network.offsets()[i];
    layer.inputs = inputs;
    layer.outputs = layer.last ? spec.outputs : spec.hidden[i].width;
    if (!layer.last) {
      layer.batch_norm = spec.hidden[i].batch_norm;
      layer.dropout = spec.hidden[i].dropout;
      layer.activation = on_device(spec.hidden[i].activation);
    }
    const auto own = [&](std::int64_t count) {
      layer.owned.push_back(floats(count));
      return layer.owned.back().as<float>();
    };
    layer.z = layer.normal = layer.y = own(max_rows * layer.outputs);
    if (training_ && layer.batch_norm) {
      layer.normal = layer.y = own(max_rows * layer.outputs);
      layer.mean = own(layer.outputs);
      layer.inv_std = own(layer.outputs);
    }
    if (training_ && layer.activation == kernels::Activation::gelu)
      layer.y = own(max_rows * layer.outputs);
    widest = std::max(widest, layer.outputs);
    inputs = layer.outputs;
    layers_.push_back(std::move(layer));
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

std::unique_ptr<kernels::MatmulPlan> Engine::plan(const MatmulSpec& spec) {
  auto made = device_.plan(spec);
  if (made->workspace_bytes() > workspace_.bytes())
    workspace_ = Buffer(device_, made->workspace_bytes());
  return made;
}

void Engine::prepare(std::int64_t rows) {
  if (plans_.contains(rows)) return;
  Plans plans;
  for (const Layer& layer : layers_) {
    MatmulSpec forward{.m = rows, .n = layer.outputs, .k = layer.inputs, .transpose_b = true};
    MatmulSpec infer = forward;
    infer.bias = true;
    if (!layer.batch_norm) infer.activation = layer.activation;
    plans.infer.push_back(plan(infer));
    if (!training_) continue;
    forward.bias = layer.last;
    plans.forward.push_back(plan(forward));
    plans.weight.push_back(
        plan({.m = layer.outputs, .n = layer.inputs, .k = rows, .transpose_a = true}));
    plans.data.push_back(plan({.m = rows, .n = layer.inputs, .k = layer.outputs}));
  }
  plans_.emplace(rows, std::move(plans));
}

const Engine::Plans& Engine::plans(std::int64_t rows) {
  if (rows > max_rows_)
    throw kernels::Error(kernels::ErrorKind::invalid, "a batch has more rows than prepared for");
  prepare(rows);
  return plans_.find(rows)->second;
}

float* Engine::infer(std::int64_t rows) {
  const Plans& plan = plans(rows);
  const auto* values = values_.as<float>();
  const auto* statistics = statistics_.as<float>();
  const float* x = input();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    plan.infer[i]->run(stream_, x, values + layer.at.weight, values + layer.at.bias, layer.z,
                       workspace_.data());
    if (layer.batch_norm) {
      device_.batch_norm_inference(stream_, rows, layer.outputs, 1, Network::kBatchNormEpsilon,
                                   layer.z, values + layer.at.gamma, values + layer.at.beta,
                                   statistics + layer.at.mean, statistics + layer.at.variance,
                                   layer.z);
      device_.activation(stream_, layer.activation, rows * layer.outputs, layer.z, layer.z);
    }
    x = layer.z;
  }
  return layers_.back().z;
}

float* Engine::loss_gradient(std::int64_t rows, const LossSpec& loss, float* gradient) {
  const Layer& last = layers_.back();
  switch (loss.kind) {
  case Loss::cross_entropy:
    device_.softmax_cross_entropy(stream_, rows, last.outputs, last.z, labels(), loss.class_weights,
                                  gradient, stats());
    break;
  case Loss::mse:
    device_.squared_error(stream_, rows, last.outputs, last.z, targets(), gradient, stats());
    break;
  case Loss::huber:
    device_.huber(stream_, rows, last.outputs, loss.huber_delta, last.z, targets(), gradient,
                  stats());
    break;
  }
  return gradient;
}

void Engine::add_loss(std::int64_t rows, const LossSpec& loss) {
  loss_gradient(rows, loss, nullptr);
}

// A range that is not worth an operation of its own waits for the next one: 4 MiB.
constexpr std::int64_t kLeastHandout = std::int64_t{1} << 20;

void Engine::Handout::give(std::int64_t begin, std::int64_t end) const {
  if (begin < end) ready_(engine_.gradients_.as<float>() + begin, end - begin);
}

void Engine::Handout::biases_done(std::size_t layer) const {
  // Of a small network all goes at once, in weights_done().
  if (ready_ && layer == 0 && engine_.size_ > kLeastHandout) give(engine_.decayed_, engine_.size_);
}

void Engine::Handout::weights_done(std::size_t layer) {
  if (!ready_) return;
  if (layer == 0) {
    give(0, engine_.size_ > kLeastHandout ? end_ : engine_.size_);
  } else if (const std::int64_t begin = engine_.layers_[layer].at.weight;
             end_ - begin >= kLeastHandout) {
    give(begin, end_);
    end_ = begin;
  }
}

void Engine::backpropagate(std::int64_t rows, const LossSpec& loss, const GradientsReady& ready) {
  Handout handout(*this, ready);
  if (rows == 0) {
    device_.zero(stream_, gradients_.data(), gradients_.bytes());
    for (std::size_t i = layers_.size(); i-- > 0;) {
      handout.biases_done(i);
      handout.weights_done(i);
    }
    return;
  }
  const Plans& plan = plans(rows);
  const auto* values = values_.as<float>();
  auto* statistics = statistics_.as<float>();
  auto* gradients = gradients_.as<float>();
  const auto epilogue_of = [&](std::size_t i) {
    return kernels::EpilogueSpec{.rows = rows,
                                 .cols = layers_[i].outputs,
                                 .activation = layers_[i].activation,
                                 .dropout = layers_[i].dropout,
                                 .layer = static_cast<std::uint32_t>(i)};
  };
  const auto norm_of = [&](const Layer& layer) {
    return kernels::BatchNormSpec{
        .rows = rows, .cols = layer.outputs, .epsilon = Network::kBatchNormEpsilon};
  };

  const float* x = input();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    plan.forward[i]->run(stream_, x, values + layer.at.weight, values + layer.at.bias, layer.z,
                         workspace_.data());
    if (layer.last) break;
    if (layer.batch_norm)
      device_.batch_norm(stream_, norm_of(layer), layer.z, values + layer.at.gamma,
                         values + layer.at.beta, statistics + layer.at.mean,
                         statistics + layer.at.variance, layer.mean, layer.inv_std, layer.normal);
    device_.epilogue(stream_, epilogue_of(i), state(),
                     layer.batch_norm ? nullptr : values + layer.at.bias, layer.normal, layer.y);
    x = layer.y;
  }

  auto* dy = loss_gradient(rows, loss, gradient_a_.as<float>());
  auto* spare = gradient_b_.as<float>();
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const Layer& layer = layers_[i];
    float* dbias = layer.batch_norm ? nullptr : gradients + layer.at.bias;
    if (layer.last)
      device_.sum_rows(stream_, rows, layer.outputs, dy, dbias);
    else
      device_.epilogue_backward(stream_, epilogue_of(i), state(), layer.normal, layer.y, dy, dy,
                                dbias);
    if (layer.batch_norm)
      device_.batch_norm_backward(stream_, norm_of(layer), layer.z, values + layer.at.gamma,
                                  layer.mean, layer.inv_std, dy, dy, gradients + layer.at.gamma,
                                  gradients + layer.at.beta);
    handout.biases_done(i);
    const float* below = i == 0 ? input() : layers_[i - 1].y;
    plan.weight[i]->run(stream_, dy, below, nullptr, gradients + layer.at.weight,
                        workspace_.data());
    handout.weights_done(i);
    if (i == 0) break;
    plan.data[i]->run(stream_, dy, values + layer.at.weight, nullptr, spare, workspace_.data());
    std::swap(dy, spare);
  }
}

void Engine::update(const Optimizer& o) {
  if (o.kind == OptimizerKind::adamw)
    device_.adamw(stream_,
                  {.size = size_,
                   .decayed = decayed_,
                   .beta1 = o.beta1,
                   .beta2 = o.beta2,
                   .epsilon = o.epsilon,
                   .weight_decay = o.weight_decay},
                  state(), values_.as<float>(), gradients_.as<float>(), first_.as<float>(),
                  second_.as<float>());
  else
    device_.sgd(stream_,
                {.size = size_,
                 .decayed = decayed_,
                 .momentum = o.momentum,
                 .weight_decay = o.weight_decay,
                 .nesterov = o.nesterov},
                state(), values_.as<float>(), gradients_.as<float>(), first_.as<float>());
}

std::vector<float> Network::predict(kernels::Device& device, std::span<const float> rows) const {
  constexpr std::int64_t kChunk = 1024;
  if (spec_.inputs == 0 || rows.size() % static_cast<std::size_t>(spec_.inputs) != 0)
    throw Error(ErrorKind::failed, std::to_string(rows.size()) + " values are not rows of " +
                                       std::to_string(spec_.inputs) + " inputs");
  const std::int64_t count = static_cast<std::int64_t>(rows.size()) / spec_.inputs;
  std::vector<float> out(static_cast<std::size_t>(count * spec_.outputs));
  if (count == 0) return out;
  return with_device_errors([&] {
    Engine engine(device, *this, std::min(count, kChunk), false);
    const kernels::Stream stream;
    for (std::int64_t at = 0; at < count; at += kChunk) {
      const std::int64_t n = std::min(kChunk, count - at);
      device.copy_in(stream, engine.input(), rows.data() + at * spec_.inputs,
                     bytes(n * spec_.inputs));
      device.copy_out(stream, out.data() + at * spec_.outputs, engine.infer(n),
                      bytes(n * spec_.outputs));
    }
    return std::move(out);
  });
}

} // namespace mlp::train
