// Metrics, summed up batch by batch.
#include "core/train/evaluate.hpp"

#include "core/train/fit_check.hpp"

#include <algorithm>
#include <cmath>

namespace mlp::train {

using kernels::Buffer;
using kernels::LossStats;

ResidentData::ResidentData(kernels::Device& device, const Dataset& data)
    : device_(device), outputs_(data.outputs) {
  const bool pixels = !data.pixels.empty();
  input_ = {.rows = 0,
            .cols = data.inputs,
            .source = pixels ? kernels::DType::u8 : kernels::DType::f32,
            .affine = !data.mean.empty(),
            .per_column = data.mean.size() > 1};
  source_ = pixels ? place(data.pixels.data(), data.pixels.size_bytes())
                   : place(data.features.data(), data.features.size_bytes());
  mean_ = static_cast<const float*>(place(data.mean.data(), data.mean.size_bytes()));
  scale_ = static_cast<const float*>(place(data.scale.data(), data.scale.size_bytes()));
  labels_ = static_cast<const std::int32_t*>(place(data.labels.data(), data.labels.size_bytes()));
  targets_ = static_cast<const float*>(place(data.targets.data(), data.targets.size_bytes()));
}

const void* ResidentData::place(const void* data, std::size_t bytes) {
  if (bytes == 0 || device_.reads_host_memory()) return data;
  copies_.emplace_back(device_, bytes);
  device_.copy_in(stream_, copies_.back().data(), data, bytes);
  return copies_.back().data();
}

const std::int32_t* ResidentData::place(std::span<const std::int32_t> rows, Buffer& buffer) const {
  if (device_.reads_host_memory()) return rows.data();
  if (buffer.bytes() < rows.size_bytes()) buffer = Buffer(device_, rows.size_bytes());
  device_.copy_in(stream_, buffer.data(), rows.data(), rows.size_bytes());
  return buffer.as<std::int32_t>();
}

void ResidentData::gather(Engine& engine, std::int64_t rows, const std::int32_t* order,
                          const kernels::StepState* state) const {
  kernels::GatherSpec input = input_;
  input.rows = rows;
  device_.gather(stream_, input, state, source_, order, mean_, scale_, engine.input());
  if (labels_ != nullptr)
    device_.gather(stream_, {.rows = rows, .cols = 1, .source = kernels::DType::i32}, state,
                   labels_, order, nullptr, nullptr, engine.labels());
  if (targets_ != nullptr)
    device_.gather(stream_, {.rows = rows, .cols = outputs_, .source = kernels::DType::f32}, state,
                   targets_, order, nullptr, nullptr, engine.targets());
}

namespace {

// Squared and absolute errors of a regressor over all its columns, on the host.
class Residuals {
 public:
  Residuals(const Dataset& data, std::span<const std::int32_t> rows)
      : data_(data), rows_(rows), mean_(static_cast<std::size_t>(data.outputs)) {
    for (const std::int32_t row : rows_)
      for (std::size_t c = 0; c < mean_.size(); ++c)
        mean_[c] += target(row, c) / static_cast<double>(rows_.size());
  }
  void add(std::int64_t first, std::span<const float> outputs) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::size_t c = i % mean_.size();
      const double t = target(rows_[static_cast<std::size_t>(first) + i / mean_.size()], c);
      const double error = static_cast<double>(outputs[i]) - t;
      squared_ += error * error;
      absolute_ += std::fabs(error);
      total_ += (t - mean_[c]) * (t - mean_[c]);
    }
  }
  void report(Metrics& metrics) const {
    const auto count = static_cast<double>(rows_.size() * mean_.size());
    const auto scale = static_cast<double>(data_.target_scale);
    metrics.rmse = std::sqrt(squared_ / count) * scale;
    metrics.mae = absolute_ / count * scale;
    if (total_ > 0.0) metrics.r2 = 1.0 - squared_ / total_;
  }

 private:
  double target(std::int32_t row, std::size_t column) const {
    return static_cast<double>(
        data_.targets[static_cast<std::size_t>(row) * mean_.size() + column]);
  }

  const Dataset& data_;
  std::span<const std::int32_t> rows_;
  std::vector<double> mean_;
  double squared_ = 0.0, absolute_ = 0.0, total_ = 0.0;
};

} // namespace

Metrics evaluate(kernels::Device& device, Engine& engine, const ResidentData& resident,
                 const Engine::LossSpec& loss, const Dataset& data,
                 std::span<const std::int32_t> rows, std::int64_t batch) {
  Metrics metrics;
  if (rows.empty()) return metrics;
  const kernels::Stream stream;
  const bool classifier = loss.kind == Loss::cross_entropy;
  Buffer held;
  const std::int32_t* order = resident.place(rows, held);
  Residuals residuals(data, classifier ? std::span<const std::int32_t>() : rows);
  std::vector<float> outputs;

  LossStats before;
  device.copy_out(stream, &before, engine.stats(), sizeof before);
  device.zero(stream, engine.stats(), sizeof(LossStats));
  const auto count = static_cast<std::int64_t>(rows.size());
  for (std::int64_t at = 0; at < count; at += batch) {
    const std::int64_t n = std::min(batch, count - at);
    resident.gather(engine, n, order + at, nullptr);
    const float* result = engine.infer(n);
    engine.add_loss(n, loss);
    if (classifier) continue;
    outputs.resize(static_cast<std::size_t>(n * data.outputs));
    device.copy_out(stream, outputs.data(), result, outputs.size() * sizeof(float));
    residuals.add(at, outputs);
  }
  LossStats stats;
  device.copy_out(stream, &stats, engine.stats(), sizeof stats);
  device.copy_in(stream, engine.stats(), &before, sizeof before);
  device.synchronize(stream);
  metrics.loss = stats.loss / stats.weight;
  if (classifier)
    metrics.accuracy = stats.correct / stats.rows;
  else
    residuals.report(metrics);
  return metrics;
}

Metrics evaluate(kernels::Device& device, const Network& network, const FitSpec& spec,
                 const Dataset& data, std::span<const std::int32_t> rows) {
  Dataset checked = data;
  checked.train = rows; // an empty set is refused like an empty training set
  checked.validation = checked.test = {};
  check(spec, checked);
  constexpr std::int64_t kBatch = 1024;
  return with_device_errors([&] {
    const std::int64_t batch =
        std::min<std::int64_t>(kBatch, static_cast<std::int64_t>(rows.size()));
    Engine engine(device, network, batch, false);
    const ResidentData resident(device, data);
    Buffer weights;
    if (!spec.class_weights.empty()) {
      weights = Buffer(device, spec.class_weights.size() * sizeof(float));
      device.copy_in({}, weights.data(), spec.class_weights.data(), weights.bytes());
    }
    const Engine::LossSpec loss{spec.loss, spec.huber_delta, weights.as<float>()};
    return evaluate(device, engine, resident, loss, data, rows, batch);
  });
}

} // namespace mlp::train
