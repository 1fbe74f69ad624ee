// Every key of a task's `trainer:`. The ranges are those of find_problem() in trainer_spec.cpp,
// which runs after reading; here stand names, words and types.
#include "core/config/project_keys.hpp"

#include <fmt/format.h>

namespace mlp::config {

namespace {

void read_class_weights(const Reader& reader, const YamlNode& node, const Rule& rule,
                        TrainerData& data) {
  if (node.kind == YamlKind::scalar) {
    std::string text;
    read_value(reader, "class_weights", node, Rule{}, text);
    if (text != "balanced")
      throw reader.wrong("class_weights", node, "balanced, or a map of labels and weights");
    data.balanced = true;
    return;
  }
  for (const YamlEntry& entry : map_entries(reader, "class_weights", node)) {
    double weight = 1;
    read_value(reader, entry.key, entry.value, rule, weight);
    data.class_weights.emplace(entry.key, weight);
  }
}

Shape class_weights_shape(const Rule& rule) {
  Shape shape{.kind = Shape::Kind::either, .rule = rule};
  shape.inner.push_back(shape_of(std::string(), Rule{.choices = {"balanced"}}));
  Shape weights{.kind = Shape::Kind::map, .rule = {.keys = MapKeys::any}};
  weights.inner.push_back({.kind = Shape::Kind::number});
  shape.inner.push_back(std::move(weights));
  return shape;
}

constexpr std::string_view devices_wanted = "all, a number of devices, or a list of their numbers";

void read_devices(const Reader& reader, const YamlNode& node, const Rule& rule, TrainerSpec& spec) {
  TrainerDevices& devices = spec.devices;
  if (node.kind == YamlKind::sequence) {
    devices.choice = TrainerDevices::Choice::list;
    read_value(reader, "devices", node, rule, devices.ids);
    return;
  }
  const auto text = reader.text("devices", node, rule, devices_wanted, false);
  if (!text) return;
  if (*text == "all") {
    devices.choice = TrainerDevices::Choice::all;
    return;
  }
  if (parse_scalar(*text).type != ScalarType::integer)
    throw reader.wrong("devices", node, devices_wanted, text);
  devices.choice = TrainerDevices::Choice::count;
  Rule at_least_one = rule;
  at_least_one.minimum = 1;
  read_value(reader, "devices", node, at_least_one, devices.count);
}

Shape devices_shape(const Rule& rule) {
  Shape shape{.kind = Shape::Kind::either, .rule = rule};
  shape.inner.push_back(shape_of(std::string(), Rule{.choices = {"all"}}));
  shape.inner.push_back({.kind = Shape::Kind::integer, .rule = {.minimum = 1}});
  shape.inner.push_back(shape_of(std::vector<std::int64_t>(), Rule{.minimum = 0}));
  return shape;
}

} // namespace

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                TrainerExtent& value) {
  Rule limits = rule;
  limits.minimum = 1;
  limits.maximum = TrainerExtent::most;
  if (node.kind != YamlKind::sequence) {
    std::int64_t both = value.height;
    read_value(reader, key, node, limits, both);
    value = {both, both};
    return;
  }
  std::vector<std::int64_t> sides;
  read_value(reader, key, node, limits, sides);
  if (sides.size() != 2) throw reader.wrong(key, node, "a number, or a height and a width");
  value = {sides[0], sides[1]};
}

Shape shape_of(const TrainerExtent& fallback, const Rule& rule) {
  const Rule limits{.minimum = 1, .maximum = TrainerExtent::most};
  Shape shape{
      .kind = Shape::Kind::either, .rule = rule, .fallback = std::to_string(fallback.height)};
  shape.inner.push_back({.kind = Shape::Kind::integer, .rule = limits});
  Shape side{.kind = Shape::Kind::integer, .rule = limits};
  shape.inner.push_back({.kind = Shape::Kind::list, .inner = {std::move(side)}});
  return shape;
}

const Fields<TrainerFeatures>& fields_of(const TrainerFeatures*) {
  using T = TrainerFeatures;
  static const Fields<T> fields{
      field("include", &T::include, "columns to use; default: all but the target"),
      field("exclude", &T::exclude, "columns to leave out"),
      field("categorical", &T::categorical, "columns of categories, though they hold numbers"),
      field("numeric", &T::numeric, "columns that must hold numbers"),
      field("log", &T::log, "numeric columns to take as log(1 + x)"),
  };
  return fields;
}

const Fields<TrainerData>& fields_of(const TrainerData*) {
  using T = TrainerData;
  static const Fields<T> fields{
      word("format", &T::format, {"infer", "csv", "idx"}, &parse_data_format, "infer",
           "format of the files"),
      field("dataset", &T::dataset, "one of the task's data, if it has several"),
      field("train", &T::train, "file to train on, within the dataset"),
      field("validation", &T::validation, "file to validate on; default: cut from train"),
      field("test", &T::test, "file to test on; default: cut from train"),
      field("train_labels", &T::train_labels, "labels of an IDX file"),
      field("validation_labels", &T::validation_labels, "labels of an IDX file"),
      field("test_labels", &T::test_labels, "labels of an IDX file"),
      field("target", &T::target, "column to predict; default: the last one"),
      field("columns", &T::columns, "names of the columns of a file without a header"),
      field("header", &T::header, "whether the first line names the columns"),
      field("delimiter", &T::delimiter, "character between fields"),
      field("comment", &T::comment, "lines that begin with it are left out"),
      field("skip_rows", &T::skip_rows, "lines to leave out at the beginning").range(0),
      field("trim", &T::trim, "drop spaces around fields without quotes"),
      field("strip_label_suffix", &T::strip_label_suffix, "text to cut from a label's end"),
      field("blanks", &T::blanks, "texts that mean that a value is missing"),
      field("features", &T::features, "which columns to use, and how"),
      field("classes", &T::classes, "labels that may occur; default: those of train"),
      {"class_weights", "balanced, or a weight for each label", read_class_weights,
       class_weights_shape},
  };
  return fields;
}

const Fields<TrainerSplit>& fields_of(const TrainerSplit*) {
  using T = TrainerSplit;
  static const Fields<T> fields{
      field("validation", &T::validation, "share of the rows to validate on").range(0, 1),
      field("test", &T::test, "share of the rows to test on").range(0, 1),
      field("seed", &T::seed, "seed of the split"),
  };
  return fields;
}

const Fields<TrainerConv>& fields_of(const TrainerConv*) {
  using T = TrainerConv;
  static const Fields<T> fields{
      Field<T>(field("filters", &T::filters, "channels that it gives").range(1, 1 << 14))
          .required(),
      field("kernel_size", &T::kernel_size, "the window; one number, or height and width"),
      field("stride", &T::stride, "step of the window"),
      field("padding", &T::padding, "same: zeros around, so that a stride of 1 keeps the size")
          .one_of({"same", "valid"}),
      field("pool", &T::pool, "what to keep of each pool_size after the activation")
          .one_of({"none", "max", "average"}),
      field("pool_size", &T::pool_size, "window of the pooling, which moves by as much"),
      field("activation", &T::activation, "default: the network's")
          .one_of({"relu", "gelu", "tanh"}),
      field("dropout", &T::dropout, "after the pooling; default: the network's").range(0, 1),
      field("batch_norm", &T::batch_norm, "default: the network's"),
  };
  return fields;
}

const Fields<TrainerNetwork>& fields_of(const TrainerNetwork*) {
  using T = TrainerNetwork;
  static const Fields<T> fields{
      field("conv", &T::conv, "convolutions before the dense layers, for images"),
      field("hidden", &T::hidden, "widths of the dense layers; []: a linear model").range(1),
      field("activation", &T::activation, "function after each layer")
          .one_of({"relu", "gelu", "tanh"}),
      field("dropout", &T::dropout, "share of values to drop in training").range(0, 1),
      field("batch_norm", &T::batch_norm, "normalise over the batch after each layer"),
  };
  return fields;
}

const Fields<TrainerOptimizer>& fields_of(const TrainerOptimizer*) {
  using T = TrainerOptimizer;
  static const Fields<T> fields{
      field("name", &T::name, "the optimiser").one_of({"adamw", "sgd"}),
      field("lr", &T::lr, "learning rate").range(0, 100),
      field("weight_decay", &T::weight_decay, "decay of the weights").range(0, 10),
      field("momentum", &T::momentum, "momentum of sgd").range(0, 1),
      field("nesterov", &T::nesterov, "Nesterov momentum of sgd"),
  };
  return fields;
}

const Fields<TrainerSchedule>& fields_of(const TrainerSchedule*) {
  using T = TrainerSchedule;
  static const Fields<T> fields{
      field("warmup_epochs", &T::warmup_epochs, "epochs over which the learning rate rises")
          .range(0),
      field("decay", &T::decay, "how the learning rate falls after that")
          .one_of({"cosine", "constant"}),
  };
  return fields;
}

const Fields<TrainerEarlyStopping>& fields_of(const TrainerEarlyStopping*) {
  using T = TrainerEarlyStopping;
  static const Fields<T> fields{
      field("patience", &T::patience, "epochs without improvement before the end; 0: go on")
          .range(0),
      field("min_delta", &T::min_delta, "what counts as an improvement").range(0),
  };
  return fields;
}

const Fields<TrainerCheckpoint>& fields_of(const TrainerCheckpoint*) {
  using T = TrainerCheckpoint;
  static const Fields<T> fields{
      field("every_seconds", &T::every_seconds, "time between checkpoints; 0: after epochs only")
          .range(0),
  };
  return fields;
}

const Fields<TrainerSpec>& fields_of(const TrainerSpec*) {
  using T = TrainerSpec;
  static const Fields<T> fields{
      Field<T>(word("kind", &T::kind, {"classifier", "regressor"}, &parse_trainer_kind, "",
                    "what to train"))
          .required(),
      field("data", &T::data, "what to read, and how"),
      field("split", &T::split, "shares of the rows to validate and test on"),
      field("network", &T::network, "the layers"),
      field("loss", &T::loss, "what to minimise; default: cross_entropy or mse")
          .one_of({"cross_entropy", "mse", "huber"}),
      field("huber_delta", &T::huber_delta, "where the Huber loss becomes linear").range(0),
      field("optimizer", &T::optimizer, "how to minimise it"),
      field("schedule", &T::schedule, "the learning rate over time"),
      field("epochs", &T::epochs, "passes over the data").range(1, 1'000'000),
      field("batch_size", &T::batch_size, "rows in a step; 0: 128, or fewer for few rows")
          .range(0, 1 << 20),
      field("early_stopping", &T::early_stopping, "when to stop before the last epoch"),
      field("checkpoint", &T::checkpoint, "how often to save the state"),
      field("seed", &T::seed, "seed of weights, batches and dropout"),
      field("threads", &T::threads, "threads to use; 0: as many as there are").range(0, 4096),
      {"devices", "GPUs to train on together: all, how many, or which", read_devices,
       devices_shape},
      field("precision", &T::precision,
            "on a GPU: what products are made of (sums are float32); tf32 and bf16 are faster")
          .one_of({"float32", "tf32", "bf16"}),
  };
  return fields;
}

} // namespace mlp::config
