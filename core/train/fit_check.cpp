// What fit() refuses before it starts, and the identity of a training for its checkpoints.
#include "core/train/fit_check.hpp"

#include "core/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <type_traits>

namespace mlp::train {

namespace {

void require(bool good, std::string_view what, std::string_view hint = {}) {
  if (good) return;
  Error error(ErrorKind::config, std::string(what));
  if (!hint.empty()) error.add_hint(std::string(hint));
  throw error;
}

std::string number(std::int64_t value) {
  return std::to_string(value);
}

void check_rows(std::string_view name, std::span<const std::int32_t> rows, std::int64_t count) {
  for (const std::int32_t row : rows)
    require(row >= 0 && row < count, "a row number of the " + std::string(name) + " set, " +
                                         number(row) + ", is not below the " + number(count) +
                                         " rows of the data");
}

class Hash {
 public:
  template <class T>
  Hash& add(const T& value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    sha_.update(std::as_bytes(std::span(&value, 1)));
    return *this;
  }
  template <class T>
  Hash& add(std::span<const T> values) {
    add(values.size());
    sha_.update(std::as_bytes(values));
    return *this;
  }
  Digest finish() { return sha_.finish(); }

 private:
  Sha256 sha_;
};

// Rows evenly spread, so that a large data set costs little and a changed one is noticed.
template <class T>
void add_sample(Hash& hash, std::span<const T> values, std::int64_t rows, std::int64_t cols) {
  constexpr std::int64_t kSample = 4096;
  hash.add(values.size());
  if (values.empty()) return;
  const std::int64_t count = std::min(rows, kSample);
  for (std::int64_t i = 0; i < count; ++i)
    hash.add(values.subspan(static_cast<std::size_t>(i * rows / count * cols),
                            static_cast<std::size_t>(cols)));
}

} // namespace

NetworkSpec network_spec(const FitSpec& spec, const Dataset& data) {
  return {data.inputs, data.outputs, spec.hidden, spec.conv, data.image};
}

void check(const FitSpec& spec, const Dataset& data) {
  require(data.rows >= 1 && data.rows <= INT32_MAX,
          "the data has " + number(data.rows) + " rows, 1 to 2^31 - 1 are possible");
  const auto expect = [](std::string_view name, std::size_t size, std::int64_t wanted) {
    require(size == static_cast<std::size_t>(wanted), std::string(name) + " has " +
                                                          std::to_string(size) + " values, " +
                                                          number(wanted) + " are expected");
  };
  require(data.features.empty() != data.pixels.empty(),
          "the data has to have either features or pixels");
  if (data.pixels.empty())
    expect("the feature matrix", data.features.size(), data.rows * data.inputs);
  else
    expect("the pixel matrix", data.pixels.size(), data.rows * data.inputs);
  const std::size_t means = data.mean.size();
  require(means == data.scale.size() &&
              (means <= 1 || means == static_cast<std::size_t>(data.inputs)),
          "mean and scale have to have no, one or 'inputs' values");

  if (spec.loss == Loss::cross_entropy) {
    require(data.outputs >= 2, "a classifier needs at least two classes");
    expect("the labels", data.labels.size(), data.rows);
    for (std::size_t row = 0; row < data.labels.size(); ++row)
      require(data.labels[row] >= 0 && data.labels[row] < data.outputs,
              "the label of row " + std::to_string(row) + ", " + number(data.labels[row]) +
                  ", is not one of the " + number(data.outputs) + " classes");
    if (!spec.class_weights.empty()) {
      expect("the class weights", spec.class_weights.size(), data.outputs);
      for (const float weight : spec.class_weights)
        require(weight > 0.0F && std::isfinite(weight), "a class weight is not positive");
    }
  } else {
    expect("the targets", data.targets.size(), data.rows * data.outputs);
    require(spec.class_weights.empty(), "class weights are for cross-entropy only");
    require(spec.loss != Loss::huber ||
                (spec.huber_delta > 0.0F && std::isfinite(spec.huber_delta)),
            "huber's delta has to be positive");
  }
  require(!data.train.empty(), "there are no rows to train on");
  check_rows("training", data.train, data.rows);
  check_rows("validation", data.validation, data.rows);
  check_rows("test", data.test, data.rows);

  require(spec.epochs >= 1 && spec.epochs <= 1'000'000, "epochs have to be 1 to 1000000");
  require(spec.batch >= 1 && spec.batch <= (1 << 20), "the batch has to be 1 to 2^20 rows");
  const NetworkSpec network = network_spec(spec, data);
  check(network);
  constexpr std::int64_t kMostValues = std::int64_t{1} << 34; // of one operation of the device
  for (const ConvShape& shape : conv_shapes(network))
    require(spec.batch <= kMostValues / shape.conv.size(),
            "a batch of " + number(spec.batch) +
                " rows gives more than 2^34 values behind a convolution",
            "choose a smaller batch_size, fewer filters, or a stride");
  require(spec.patience >= 0, "patience has to be at least 0");
  require(spec.min_delta >= 0.0, "min_delta has to be at least 0");
  const Optimizer& o = spec.optimizer;
  const auto in_unit = [](float value) { return value >= 0.0F && value < 1.0F; };
  require(o.learning_rate > 0.0F && std::isfinite(o.learning_rate),
          "the learning rate has to be positive");
  require(o.weight_decay >= 0.0F && std::isfinite(o.weight_decay),
          "weight decay has to be at least 0");
  require(in_unit(o.momentum), "momentum has to be at least 0 and less than 1");
  require(in_unit(o.beta1) && in_unit(o.beta2), "beta1 and beta2 have to be in [0, 1)");
  require(o.epsilon > 0.0F, "the optimiser's epsilon has to be positive");
  require(in_unit(spec.schedule.warmup), "warm-up has to be at least 0 and less than 1");
  require(spec.schedule.final_factor >= 0.0F && spec.schedule.final_factor <= 1.0F,
          "the schedule's final factor has to be in [0, 1]");
}

Digest identity_of(const FitSpec& spec, const Dataset& data) {
  Hash hash;
  hash.add(data.rows).add(data.inputs).add(data.outputs).add(spec.hidden.size());
  for (const HiddenLayer& layer : spec.hidden)
    hash.add(layer.width).add(layer.activation).add(layer.batch_norm).add(layer.dropout);
  if (!spec.conv.empty()) {
    hash.add(data.image.height).add(data.image.width).add(data.image.channels);
    for (const ConvLayer& layer : spec.conv) {
      for (const Extent& extent : {layer.kernel, layer.stride, layer.pool})
        hash.add(extent.height).add(extent.width);
      hash.add(layer.filters).add(layer.same).add(layer.pooling);
      hash.add(layer.activation).add(layer.batch_norm).add(layer.dropout);
    }
  }
  const Optimizer& o = spec.optimizer;
  hash.add(o.kind).add(o.learning_rate).add(o.weight_decay).add(o.momentum).add(o.nesterov);
  hash.add(o.beta1).add(o.beta2).add(o.epsilon);
  hash.add(spec.schedule.kind).add(spec.schedule.warmup).add(spec.schedule.final_factor);
  hash.add(spec.loss).add(spec.huber_delta).add(std::span<const float>(spec.class_weights));
  hash.add(spec.epochs).add(spec.batch).add(spec.seed).add(spec.patience).add(spec.min_delta);
  hash.add(data.mean).add(data.scale).add(data.labels).add(data.targets);
  hash.add(data.train).add(data.validation);
  add_sample(hash, data.features, data.rows, data.inputs);
  add_sample(hash, data.pixels, data.rows, data.inputs);
  return hash.finish();
}

} // namespace mlp::train
