// Ranges and words of the built-in trainer's settings. Each rule names the key it is about.
#include "core/config/trainer_spec.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <span>

namespace mlp::config {
namespace {

using Problem = std::optional<TrainerSpecProblem>;

Problem problem(std::string key, std::string message) {
  return TrainerSpecProblem{std::move(key), std::move(message)};
}

// Each check returns a problem or nothing; `first` keeps the first one found.
class Checks {
 public:
  void add(bool good, std::string_view key, std::string message) {
    if (!good && !found_) found_ = problem(std::string(key), std::move(message));
  }
  // low <= value < high, or <= high if `closed`.
  void range(std::string_view key, double value, double low, double high, bool closed = true) {
    const bool good = value >= low && (closed ? value <= high : value < high); // NaN fails
    add(good, key,
        fmt::format("must be in [{}, {}{}, not {}", low, high, closed ? ']' : ')', value));
  }
  void positive(std::string_view key, double value, double high) {
    add(value > 0.0 && value <= high, key,
        fmt::format("must be above 0 and at most {}, not {}", high, value));
  }
  void count(std::string_view key, std::int64_t value, std::int64_t low, std::int64_t high) {
    add(value >= low && value <= high, key,
        fmt::format("must be {} to {}, not {}", low, high, value));
  }
  void word(std::string_view key, const std::string& value,
            std::initializer_list<std::string_view> words) {
    add(std::find(words.begin(), words.end(), value) != words.end(), key,
        fmt::format("must be one of {}, not '{}'", fmt::join(words, ", "), printable(value)));
  }
  void unique(std::string_view key, const std::vector<std::string>& names) {
    std::set<std::string_view> seen;
    for (const auto& name : names)
      add(seen.insert(name).second, key, fmt::format("names '{}' twice", printable(name)));
  }
  [[nodiscard]] Problem found() && { return std::move(found_); }

 private:
  Problem found_;
};

void check_columns(const TrainerData& data, Checks& checks) {
  const TrainerFeatures& features = data.features;
  checks.unique("data.columns", data.columns);
  for (const auto& name : data.columns)
    checks.add(!name.empty(), "data.columns", "has an empty name");
  checks.add(features.include.empty() || features.exclude.empty(), "data.features.exclude",
             "cannot stand beside 'include': give one of them");
  const std::set<std::string_view> numeric(features.numeric.begin(), features.numeric.end());
  const std::set<std::string_view> log(features.log.begin(), features.log.end());
  for (const auto& name : features.categorical) {
    checks.add(!numeric.contains(name), "data.features.categorical",
               fmt::format("names '{}', which 'numeric' names too", printable(name)));
    checks.add(!log.contains(name), "data.features.log",
               fmt::format("names '{}', which is categorical", printable(name)));
  }
  const std::array<std::pair<std::string_view, const std::vector<std::string>*>, 5> lists{
      {{"data.features.include", &features.include},
       {"data.features.exclude", &features.exclude},
       {"data.features.categorical", &features.categorical},
       {"data.features.numeric", &features.numeric},
       {"data.features.log", &features.log}}};
  for (const auto& [key, names] : lists) {
    checks.unique(key, *names);
    if (data.target.empty()) continue;
    checks.add(std::find(names->begin(), names->end(), data.target) == names->end(), key,
               fmt::format("names the target '{}'", printable(data.target)));
  }
}

void check_data(const TrainerSpec& spec, Checks& checks) {
  const TrainerData& data = spec.data;
  checks.add(
      data.delimiter.size() == 1 &&
          std::string_view(",;|\t ").find(data.delimiter[0]) != std::string_view::npos,
      "data.delimiter",
      fmt::format("must be one of , ; | a tab or a space, not '{}'", printable(data.delimiter)));
  checks.add(data.comment.find_first_of("\r\n\"") == std::string::npos, "data.comment",
             "may not hold quotes or line ends");
  checks.count("data.skip_rows", data.skip_rows, 0, 1'000'000);
  check_columns(data, checks);
  checks.add(data.train_labels.empty() || !data.train.empty(), "data.train_labels",
             "is given without 'train'");
  checks.add(data.validation_labels.empty() || !data.validation.empty(), "data.validation_labels",
             "is given without 'validation'");
  checks.add(data.test_labels.empty() || !data.test.empty(), "data.test_labels",
             "is given without 'test'");
  checks.add(data.train.empty() ? data.validation.empty() && data.test.empty() : true, "data.train",
             "is missing, though files to validate or test are given");
  checks.unique("data.classes", data.classes);
  checks.add(data.classes.size() != 1, "data.classes", "must name at least two classes");
  if (spec.kind == TrainerKind::regressor) {
    checks.add(data.classes.empty(), "data.classes", "is for classifiers");
    checks.add(!data.balanced && data.class_weights.empty(), "data.class_weights",
               "is for classifiers");
    checks.add(data.strip_label_suffix.empty(), "data.strip_label_suffix", "is for classifiers");
  }
  checks.add(!data.balanced || data.class_weights.empty(), "data.class_weights",
             "must be 'balanced' or a map of weights, not both");
  for (const auto& [label, weight] : data.class_weights)
    checks.add(
        weight > 0.0 && weight <= 1e6, "data.class_weights",
        fmt::format("of '{}' must be above 0 and at most 1e6, not {}", printable(label), weight));
}

void check_loss(const TrainerSpec& spec, Checks& checks) {
  if (!spec.loss.empty()) {
    if (spec.kind == TrainerKind::classifier)
      checks.word("loss", spec.loss, {"cross_entropy"});
    else
      checks.word("loss", spec.loss, {"mse", "huber"});
  }
  checks.positive("huber_delta", spec.huber_delta, 1e6);
}

void check_extent(const std::string& key, const TrainerExtent& extent, Checks& checks) {
  checks.count(key, extent.height, 1, TrainerExtent::most);
  checks.count(key, extent.width, 1, TrainerExtent::most);
}

void check_conv(const TrainerSpec& spec, Checks& checks) {
  const std::vector<TrainerConv>& layers = spec.network.conv;
  if (layers.empty()) return;
  const TrainerData& data = spec.data;
  checks.add(spec.kind == TrainerKind::classifier, "network.conv", "is for classifiers of images");
  checks.add(data.format != DataFormat::csv && data.target.empty() && data.columns.empty() &&
                 !is_table_name(data.train),
             "network.conv", "is for images, and 'data' describes a table");
  checks.add(layers.size() <= 64, "network.conv", "has more than 64 layers");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const TrainerConv& layer = layers[i];
    const std::string at = fmt::format("network.conv.{}.", i);
    checks.count(at + "filters", layer.filters, 1, 1 << 14);
    check_extent(at + "kernel_size", layer.kernel_size, checks);
    check_extent(at + "stride", layer.stride, checks);
    checks.word(at + "padding", layer.padding, {"same", "valid"});
    checks.word(at + "pool", layer.pool, {"none", "max", "average"});
    check_extent(at + "pool_size", layer.pool_size, checks);
    if (layer.activation)
      checks.word(at + "activation", *layer.activation, {"relu", "gelu", "tanh"});
    if (layer.dropout) checks.range(at + "dropout", *layer.dropout, 0.0, 1.0, false);
    checks.add(!layer.batch_norm.value_or(false) || spec.batch_size != 1, "batch_size",
               "must be 2 or more with batch_norm");
  }
}

void check_devices(const TrainerDevices& devices, Checks& checks) {
  constexpr std::int64_t kMost = 1024; // ranks of one node
  checks.count("devices", devices.count, 1, kMost);
  if (devices.choice != TrainerDevices::Choice::list) return;
  checks.add(!devices.ids.empty(), "devices", "names no device");
  std::set<std::int64_t> seen;
  for (const std::int64_t id : devices.ids) {
    checks.count("devices", id, 0, kMost - 1);
    checks.add(seen.insert(id).second, "devices", fmt::format("names {} twice", id));
  }
}

} // namespace

std::optional<TrainerSpecProblem> find_problem(const TrainerSpec& spec) {
  Checks checks;
  check_data(spec, checks);
  checks.range("split.validation", spec.split.validation, 0.0, 1.0, false);
  checks.range("split.test", spec.split.test, 0.0, 1.0, false);
  checks.add(spec.network.hidden.size() <= 64, "network.hidden", "has more than 64 layers");
  check_conv(spec, checks);
  for (const std::int64_t width : spec.network.hidden)
    checks.count("network.hidden", width, 1, 1 << 20);
  checks.word("network.activation", spec.network.activation, {"relu", "gelu", "tanh"});
  checks.range("network.dropout", spec.network.dropout, 0.0, 1.0, false);
  check_loss(spec, checks);
  checks.word("optimizer.name", spec.optimizer.name, {"adamw", "sgd"});
  checks.positive("optimizer.lr", spec.optimizer.lr, 100.0);
  checks.range("optimizer.weight_decay", spec.optimizer.weight_decay, 0.0, 10.0);
  checks.range("optimizer.momentum", spec.optimizer.momentum, 0.0, 1.0, false);
  checks.count("epochs", spec.epochs, 1, 1'000'000);
  checks.range("schedule.warmup_epochs", spec.schedule.warmup_epochs, 0.0,
               static_cast<double>(spec.epochs), false);
  checks.word("schedule.decay", spec.schedule.decay, {"cosine", "constant"});
  checks.count("batch_size", spec.batch_size, 0, 1 << 20);
  checks.add(!spec.network.batch_norm || spec.batch_size != 1, "batch_size",
             "must be 2 or more with batch_norm");
  checks.count("early_stopping.patience", spec.early_stopping.patience, 0, 1'000'000);
  checks.range("early_stopping.min_delta", spec.early_stopping.min_delta, 0.0, 1e6);
  checks.range("checkpoint.every_seconds", spec.checkpoint.every_seconds, 0.0, 1e9);
  checks.count("threads", spec.threads, 0, 4096);
  check_devices(spec.devices, checks);
  checks.word("precision", spec.precision, {"float32", "tf32", "bf16"});
  return std::move(checks).found();
}

void check(const TrainerSpec& spec) {
  if (const auto found = find_problem(spec))
    throw Error(ErrorKind::config, fmt::format("'trainer.{}' {}", found->key, found->message));
}

bool is_table_name(std::string_view file) noexcept {
  if (file.ends_with(".gz")) file.remove_suffix(3);
  return file.ends_with(".csv") || file.ends_with(".tsv");
}

std::string_view trainer_kind_name(TrainerKind kind) noexcept {
  return kind == TrainerKind::classifier ? "classifier" : "regressor";
}

std::optional<TrainerKind> parse_trainer_kind(std::string_view name) noexcept {
  if (name == "classifier") return TrainerKind::classifier;
  if (name == "regressor") return TrainerKind::regressor;
  return std::nullopt;
}

std::string_view data_format_name(DataFormat format) noexcept {
  switch (format) {
  case DataFormat::csv:
    return "csv";
  case DataFormat::idx:
    return "idx";
  case DataFormat::infer:
    break;
  }
  return "infer";
}

std::optional<DataFormat> parse_data_format(std::string_view name) noexcept {
  if (name == "csv") return DataFormat::csv;
  if (name == "idx") return DataFormat::idx;
  if (name == "infer") return DataFormat::infer;
  return std::nullopt;
}

} // namespace mlp::config
