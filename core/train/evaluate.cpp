// Metrics, summed up batch by batch.
#include "core/train/evaluate.hpp"

#include "core/train/fit_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mlp::train {

using kernels::Buffer;
using kernels::LossStats;

DeviceData::DeviceData(kernels::Device& device, const Dataset& data, std::int64_t max_rows,
                       std::size_t reserve, kernels::Stream stream)
    : device_(device), stream_(stream), outputs_(data.outputs) {
  const bool pixels = !data.pixels.empty();
  input_ = {.rows = 0,
            .cols = data.inputs,
            .source = pixels ? kernels::DType::u8 : kernels::DType::f32,
            .affine = !data.mean.empty(),
            .per_column = data.mean.size() > 1};
  row_bytes_ = static_cast<std::size_t>(data.inputs) * kernels::size_of(input_.source);
  mean_ = static_cast<const float*>(place(data.mean.data(), data.mean.size_bytes()));
  scale_ = static_cast<const float*>(place(data.scale.data(), data.scale.size_bytes()));
  labels_ = static_cast<const std::int32_t*>(place(data.labels.data(), data.labels.size_bytes()));
  targets_ = static_cast<const float*>(place(data.targets.data(), data.targets.size_bytes()));
  const void* rows = pixels ? static_cast<const void*>(data.pixels.data()) : data.features.data();
  const std::size_t bytes = pixels ? data.pixels.size_bytes() : data.features.size_bytes();
  if (bytes != 0 && !device_.reads_host_memory() && hold(rows, bytes, reserve)) return;
  source_ = rows;
  if (!device_.reads_host_memory()) open_slots(max_rows);
}

DeviceData::~DeviceData() {
  close_slots();
}

void DeviceData::open_slots(std::int64_t max_rows) {
  const std::size_t bytes = static_cast<std::size_t>(max_rows) * row_bytes_;
  try {
    for (Slot& slot : slots_) {
      slot.staging = Buffer(device_, bytes);
      slot.stream = device_.make_stream();
      slot.pinned = device_.allocate_host(bytes);
    }
  } catch (...) {
    close_slots();
    throw;
  }
}

void DeviceData::close_slots() noexcept {
  for (Slot& slot : slots_) {
    if (slot.stream.handle != nullptr) device_.release(slot.stream); // its copy is done then
    slot.stream = {};
    if (slot.pinned != nullptr) device_.release_host(slot.pinned);
    slot.pinned = nullptr;
  }
}

const void* DeviceData::place(const void* data, std::size_t bytes) {
  if (bytes == 0 || device_.reads_host_memory()) return data;
  copies_.emplace_back(device_, bytes);
  device_.copy_in(stream_, copies_.back().data(), data, bytes);
  return copies_.back().data();
}

bool DeviceData::hold(const void* rows, std::size_t bytes, std::size_t reserve) {
  try {
    Buffer copy(device_, bytes);
    static_cast<void>(Buffer(device_, reserve)); // there is room: free again at once
    copies_.push_back(std::move(copy));
  } catch (const kernels::Error& error) {
    if (error.kind() != kernels::ErrorKind::out_of_memory) throw;
    return false;
  }
  device_.copy_in(stream_, copies_.back().data(), rows, bytes);
  source_ = copies_.back().data();
  return true;
}

RowOrder DeviceData::place(std::span<const std::int32_t> rows, Buffer& buffer) const {
  if (device_.reads_host_memory()) return {rows.data(), rows.data()};
  if (buffer.bytes() < rows.size_bytes()) buffer = Buffer(device_, rows.size_bytes());
  device_.copy_in(stream_, buffer.data(), rows.data(), rows.size_bytes());
  return {rows.data(), buffer.as<std::int32_t>()};
}

// Two slots take turns: while the device computes with one batch, the next one is copied.
void DeviceData::send(Engine& engine, std::int64_t rows, const std::int32_t* order) {
  Slot& slot = slots_[turn_++ % 2];
  device_.synchronize(slot.stream); // `pinned` is free
  const auto* from = static_cast<const std::byte*>(source_);
  auto* to = static_cast<std::byte*>(slot.pinned);
  for (std::int64_t i = 0; i < rows; ++i, to += row_bytes_)
    std::memcpy(to, from + static_cast<std::size_t>(order[i]) * row_bytes_, row_bytes_);
  const std::size_t bytes = static_cast<std::size_t>(rows) * row_bytes_;
  device_.copy_in(slot.stream, slot.staging.data(), slot.pinned, bytes);
  device_.order(slot.stream, stream_);
  kernels::GatherSpec input = input_;
  input.rows = rows;
  device_.gather(stream_, input, nullptr, slot.staging.data(), nullptr, mean_, scale_,
                 engine.input());
  device_.order(stream_, slot.stream); // the next copy waits until `staging` is read
}

void DeviceData::gather(Engine& engine, std::int64_t rows, const RowOrder& order,
                        std::int64_t first, const kernels::StepState* state) {
  const std::int32_t* from = state != nullptr ? order.device : order.device + first;
  if (streams()) {
    send(engine, rows, order.host + first);
  } else {
    kernels::GatherSpec input = input_;
    input.rows = rows;
    device_.gather(stream_, input, state, source_, from, mean_, scale_, engine.input());
  }
  if (labels_ != nullptr)
    device_.gather(stream_, {.rows = rows, .cols = 1, .source = kernels::DType::i32}, state,
                   labels_, from, nullptr, nullptr, engine.labels());
  if (targets_ != nullptr)
    device_.gather(stream_, {.rows = rows, .cols = outputs_, .source = kernels::DType::f32}, state,
                   targets_, from, nullptr, nullptr, engine.targets());
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

Metrics evaluate(kernels::Device& device, Engine& engine, DeviceData& resident,
                 const Engine::LossSpec& loss, const Dataset& data,
                 std::span<const std::int32_t> rows, std::int64_t batch, Buffer& held) {
  Metrics metrics;
  if (rows.empty()) return metrics;
  const kernels::Stream stream = engine.stream();
  const bool classifier = loss.kind == Loss::cross_entropy;
  const RowOrder order = resident.place(rows, held);
  Residuals residuals(data, classifier ? std::span<const std::int32_t>() : rows);
  std::vector<float> outputs;

  LossStats before;
  device.copy_out(stream, &before, engine.stats(), sizeof before);
  device.zero(stream, engine.stats(), sizeof(LossStats));
  const auto count = static_cast<std::int64_t>(rows.size());
  for (std::int64_t at = 0; at < count; at += batch) {
    const std::int64_t n = std::min(batch, count - at);
    resident.gather(engine, n, order, at, nullptr);
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
  return with_device_errors([&] {
    const std::int64_t batch =
        std::min(rows_at_once(network.spec()), static_cast<std::int64_t>(rows.size()));
    Engine engine(device, network, batch, false);
    engine.prepare(batch);
    if (const auto rest = static_cast<std::int64_t>(rows.size()) % batch; rest != 0)
      engine.prepare(rest);
    Buffer weights;
    if (!spec.class_weights.empty()) {
      weights = Buffer(device, spec.class_weights.size() * sizeof(float));
      device.copy_in({}, weights.data(), spec.class_weights.data(), weights.bytes());
    }
    const Engine::LossSpec loss{spec.loss, spec.huber_delta, weights.as<float>()};
    Buffer held;
    if (!device.reads_host_memory()) held = Buffer(device, rows.size_bytes());
    DeviceData resident(device, data, batch, spec.gpu_reserve);
    return evaluate(device, engine, resident, loss, data, rows, batch, held);
  });
}

} // namespace mlp::train
