// Entry point and what both formats share. The training file decides kinds of columns and classes;
// the other parts must fit it. Rows of all parts stand one after another, and index lists say which
// part a row is in.
#include "core/train/training_data.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/train/data_parts.hpp"
#include "core/train/split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace mlp::train {
namespace {

constexpr std::uint64_t kTestPurpose = 0x7465737400000000ULL; // "test", tells apart the two cuts
constexpr std::uint64_t kValidationPurpose = 0x76616C6900000000ULL;
constexpr std::size_t kMaxClasses = 10'000;

} // namespace

void check_class_count(const std::vector<std::string>& classes, std::string_view subject) {
  if (classes.size() < 2)
    throw Error(ErrorKind::config,
                fmt::format("a classifier needs two classes, and {} has {}", subject,
                            classes.empty() ? "none" : "one, '" + printable(classes[0]) + "'"));
  if (classes.size() > kMaxClasses)
    throw Error(ErrorKind::config, fmt::format("{} has {} different values: too many for classes",
                                               subject, format_count(classes.size())))
        .with_hint("if it is a number to predict, set 'trainer.kind: regressor'");
}

std::vector<std::int32_t> row_range(std::size_t first, std::size_t count) {
  std::vector<std::int32_t> rows(count);
  std::iota(rows.begin(), rows.end(), static_cast<std::int32_t>(first));
  return rows;
}

// Cuts test and validation from data.train where they have no file of their own.
void split_parts(const config::TrainerSpec& spec, const DataFiles& files, TrainingData& data) {
  if (!files.test.exists() && spec.split.test > 0.0) {
    RowSplit split =
        split_rows(data.train, data.labels, spec.split.test, spec.split.seed, kTestPurpose);
    data.train = std::move(split.kept);
    data.test = std::move(split.cut);
  }
  if (!files.validation.exists() && spec.split.validation > 0.0) {
    RowSplit split = split_rows(data.train, data.labels, spec.split.validation, spec.split.seed,
                                kValidationPurpose);
    data.train = std::move(split.kept);
    data.validation = std::move(split.cut);
  }
  if (data.train.empty())
    throw Error(ErrorKind::config,
                fmt::format("'{}' has too few rows: none is left to train on", files.train.name));
}

Dataset TrainingData::view() const {
  Dataset set;
  set.rows = rows();
  set.inputs = features.width();
  set.features = inputs;
  set.pixels = pixels;
  if (!pixels.empty()) {
    set.mean = {&features.pixel_mean, 1};
    set.scale = {&features.pixel_scale, 1};
  }
  if (const std::vector<std::int64_t>& shape = features.image_shape; shape.size() == 2)
    set.image = {shape[0], shape[1], 1};
  set.outputs = classes.empty() ? 1 : static_cast<std::int64_t>(classes.size());
  set.labels = labels;
  set.targets = targets;
  set.target_scale = target_scale;
  set.train = train;
  set.validation = validation;
  set.test = test;
  return set;
}

std::int64_t TrainingData::rows() const noexcept {
  return static_cast<std::int64_t>(labels.empty() ? targets.size() : labels.size());
}

TrainingData load_training_data(const config::TrainerSpec& spec, const std::filesystem::path& root,
                                std::vector<std::string>& messages) {
  const DataFiles files = find_data_files(spec.data, root);
  if (files.format == config::DataFormat::idx) return load_idx_data(spec, files, messages);
  if (!spec.network.conv.empty())
    throw Error(ErrorKind::config, fmt::format("'trainer.network.conv' is for images, and '{}' is "
                                               "a table",
                                               files.train.name));
  return load_csv_data(spec, files, messages);
}

std::vector<float> class_weights(const config::TrainerSpec& spec, const TrainingData& data) {
  const std::size_t classes = data.classes.size();
  std::vector<float> weights;
  if (spec.data.balanced) {
    std::vector<std::size_t> counts(classes);
    for (const std::int32_t row : data.train)
      ++counts[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(row)])];
    for (const std::size_t count : counts)
      weights.push_back(count == 0 ? 1.0F
                                   : static_cast<float>(static_cast<double>(data.train.size()) /
                                                        (static_cast<double>(classes) *
                                                         static_cast<double>(count))));
  } else if (!spec.data.class_weights.empty()) {
    weights.assign(classes, 1.0F);
    for (const auto& [label, weight] : spec.data.class_weights) {
      const auto found = std::find(data.classes.begin(), data.classes.end(), label);
      if (found == data.classes.end())
        throw Error(ErrorKind::config,
                    fmt::format("'trainer.data.class_weights' names '{}', which is not a class",
                                printable(label)))
            .with_hint(suggestion_hint(label, data.classes, "classes"));
      weights[static_cast<std::size_t>(found - data.classes.begin())] = static_cast<float>(weight);
    }
  }
  return weights;
}

} // namespace mlp::train
