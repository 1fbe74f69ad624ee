// The order of operations: a forward pass, and the training step with its gradients.
#include "core/train/engine.hpp"

#include <algorithm>
#include <string>

namespace mlp::train {

using kernels::EpilogueSpec;

// Bias, activation, and dropout unless that comes after a pooling.
EpilogueSpec Engine::epilogue_of(std::size_t layer, std::int64_t rows) const {
  const Layer& l = layers_[layer];
  return {.rows = rows * l.positions,
          .cols = l.outputs,
          .activation = l.activation,
          .dropout = l.pooled ? 0.0F : l.dropout,
          .layer = static_cast<std::uint32_t>(layer)};
}

// Of what was pooled.
EpilogueSpec Engine::dropout_of(std::size_t layer, std::int64_t rows) const {
  const Layer& l = layers_[layer];
  return {.rows = rows * l.pooled_positions,
          .cols = l.outputs,
          .dropout = l.dropout,
          .layer = static_cast<std::uint32_t>(layer)};
}

void Engine::pool(const Layer& layer, std::int64_t rows, const float* x) {
  kernels::PoolSpec spec = layer.pool;
  spec.batch = rows;
  device_.pool_training(stream_, spec, x, layer.out, layer.index);
}

float* Engine::infer(std::int64_t rows) {
  const Plans& plan = plans(rows);
  const auto* values = values_.as<float>();
  const auto* statistics = statistics_.as<float>();
  const float* x = input();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::int64_t all = rows * layer.positions;
    if (layer.conv)
      plan[i].conv->forward(stream_, x, values + layer.at.weight, layer.z, workspace_.data());
    else
      plan[i].infer->run(stream_, x, values + layer.at.weight, values + layer.at.bias, layer.z,
                         workspace_.data());
    if (layer.batch_norm) {
      device_.batch_norm_inference(stream_, all, layer.outputs, 1, Network::kBatchNormEpsilon,
                                   layer.z, values + layer.at.gamma, values + layer.at.beta,
                                   statistics + layer.at.mean, statistics + layer.at.variance,
                                   layer.z);
      device_.activation(stream_, layer.activation, all * layer.outputs, layer.z, layer.z);
    } else if (layer.conv) {
      EpilogueSpec epilogue = epilogue_of(i, rows);
      epilogue.dropout = 0.0F;
      device_.epilogue(stream_, epilogue, state(), values + layer.at.bias, layer.z, layer.z);
    }
    if (layer.pooled) pool(layer, rows, layer.z);
    x = layer.pooled ? layer.out : layer.z;
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

// Returns what the next layer reads.
const float* Engine::forward(std::size_t i, std::int64_t rows, const LayerPlans& plan,
                             const float* x) {
  const Layer& layer = layers_[i];
  const auto* values = values_.as<float>();
  auto* statistics = statistics_.as<float>();
  if (layer.conv)
    plan.conv->forward(stream_, x, values + layer.at.weight, layer.z, workspace_.data());
  else
    (layer.fused ? plan.infer : plan.forward)
        ->run(stream_, x, values + layer.at.weight, values + layer.at.bias, layer.z,
              workspace_.data());
  if (layer.fused) return layer.y;
  if (layer.batch_norm)
    device_.batch_norm(stream_,
                       {.rows = rows * layer.positions,
                        .cols = layer.outputs,
                        .epsilon = Network::kBatchNormEpsilon},
                       layer.z, values + layer.at.gamma, values + layer.at.beta,
                       statistics + layer.at.mean, statistics + layer.at.variance, layer.mean,
                       layer.inv_std, layer.normal);
  device_.epilogue(stream_, epilogue_of(i, rows), state(),
                   layer.batch_norm ? nullptr : values + layer.at.bias, layer.normal, layer.y);
  if (!layer.pooled) return layer.y;
  pool(layer, rows, layer.y);
  if (layer.dropout > 0.0F)
    device_.epilogue(stream_, dropout_of(i, rows), state(), nullptr, layer.out, layer.out);
  return layer.out;
}

void Engine::backward_output(std::size_t i, std::int64_t rows, float*& dy, float*& spare) {
  const Layer& layer = layers_[i];
  auto* gradients = gradients_.as<float>();
  float* dbias = layer.batch_norm ? nullptr : gradients + layer.at.bias;
  if (layer.last) {
    device_.sum_rows(stream_, rows, layer.outputs, dy, dbias);
    return;
  }
  if (layer.pooled) {
    if (layer.dropout > 0.0F)
      device_.epilogue_backward(stream_, dropout_of(i, rows), state(), layer.out, layer.out, dy, dy,
                                nullptr);
    kernels::PoolSpec spec = layer.pool;
    spec.batch = rows;
    device_.pool_backward(stream_, spec, dy, layer.index, spare);
    std::swap(dy, spare);
  }
  device_.epilogue_backward(stream_, epilogue_of(i, rows), state(), layer.normal, layer.y, dy, dy,
                            dbias);
  if (layer.batch_norm)
    device_.batch_norm_backward(stream_,
                                {.rows = rows * layer.positions,
                                 .cols = layer.outputs,
                                 .epsilon = Network::kBatchNormEpsilon},
                                layer.z, values_.as<float>() + layer.at.gamma, layer.mean,
                                layer.inv_std, dy, dy, gradients + layer.at.gamma,
                                gradients + layer.at.beta);
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
  auto* gradients = gradients_.as<float>();
  const float* x = input();
  for (std::size_t i = 0; i < layers_.size(); ++i)
    x = forward(i, rows, plan[i], x);

  auto* dy = loss_gradient(rows, loss, gradient_a_.as<float>());
  auto* spare = gradient_b_.as<float>();
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const Layer& layer = layers_[i];
    backward_output(i, rows, dy, spare);
    handout.biases_done(i);
    const float* below = i == 0 ? input() : layers_[i - 1].out;
    float* dw = gradients + layer.at.weight;
    if (layer.conv)
      plan[i].conv->backward_weights(stream_, below, dy, dw, workspace_.data());
    else
      plan[i].weight->run(stream_, dy, below, nullptr, dw, workspace_.data());
    handout.weights_done(i);
    if (i == 0) break;
    const float* w = values + layer.at.weight;
    if (layer.conv)
      plan[i].conv->backward_data(stream_, dy, w, spare, workspace_.data());
    else
      plan[i].data->run(stream_, dy, w, nullptr, spare, workspace_.data());
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
  if (spec_.inputs == 0 || rows.size() % static_cast<std::size_t>(spec_.inputs) != 0)
    throw Error(ErrorKind::failed, std::to_string(rows.size()) + " values are not rows of " +
                                       std::to_string(spec_.inputs) + " inputs");
  const std::int64_t count = static_cast<std::int64_t>(rows.size()) / spec_.inputs;
  std::vector<float> out(static_cast<std::size_t>(count * spec_.outputs));
  if (count == 0) return out;
  const std::int64_t chunk = rows_at_once(spec_);
  return with_device_errors([&] {
    Engine engine(device, *this, std::min(count, chunk), false);
    const kernels::Stream stream;
    for (std::int64_t at = 0; at < count; at += chunk) {
      const std::int64_t n = std::min(chunk, count - at);
      device.copy_in(stream, engine.input(), rows.data() + at * spec_.inputs,
                     static_cast<std::size_t>(n * spec_.inputs) * sizeof(float));
      device.copy_out(stream, out.data() + at * spec_.outputs, engine.infer(n),
                      static_cast<std::size_t>(n * spec_.outputs) * sizeof(float));
    }
    return std::move(out);
  });
}

} // namespace mlp::train
