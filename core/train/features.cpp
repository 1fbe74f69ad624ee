// Sums are in double and in row order, and what the network is to see is computed in float exactly
// as the exported graph does it, so that model and trainer agree.
#include "core/train/features.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <unordered_map>

namespace mlp::train {
namespace {

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

float log_of(float x) noexcept {
  return std::log(1.0F + std::max(x, 0.0F));
}

// What stands for x before standardising.
float filled(const NumericFeature& feature, float x) noexcept {
  if (std::isnan(x)) x = feature.median;
  return feature.log ? log_of(x) : x;
}

// The middle value, or the mean of the two middle ones.
float median_of(std::vector<float>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  const float below = *std::max_element(values.begin(), middle);
  return below + (*middle - below) / 2.0F;
}

struct Moments {
  double mean = 0.0, deviation = 0.0;
};

template <class ValueAt>
Moments moments_of(std::size_t count, ValueAt value_at) {
  double sum = 0.0, squares = 0.0;
  for (std::size_t i = 0; i < count; ++i)
    sum += value_at(i);
  const double mean = sum / static_cast<double>(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double d = value_at(i) - mean;
    squares += d * d;
  }
  return {mean, std::sqrt(squares / static_cast<double>(count))};
}

// nullopt if no training row has a value.
std::optional<NumericFeature> fit_numeric(const Table& table, const Column& column,
                                          std::span<const std::int32_t> train, bool log) {
  NumericFeature feature;
  feature.name = column.name;
  feature.log = log;
  std::vector<float> values;
  values.reserve(train.size());
  for (const std::int32_t row : train) {
    const float x = column.numbers[static_cast<std::size_t>(row)];
    if (!std::isnan(x)) values.push_back(x);
    if (log && x < 0.0F)
      throw Error(ErrorKind::config,
                  fmt::format("{}:{}: column '{}' is to be taken as log(1 + x), but holds {}",
                              table.source, table.lines[static_cast<std::size_t>(row)],
                              printable(column.name), x));
  }
  if (values.empty()) return std::nullopt;
  feature.indicator = values.size() < train.size();
  feature.median = median_of(values);
  const Moments moments = moments_of(train.size(), [&](std::size_t i) {
    return double{filled(feature, column.numbers[static_cast<std::size_t>(train[i])])};
  });
  feature.mean = static_cast<float>(moments.mean);
  // A spread within the rounding of the values is no spread.
  const double least = 1e-6 * std::max(std::abs(moments.mean), 1e-30);
  feature.scale = moments.deviation > least ? static_cast<float>(1.0 / moments.deviation) : 0.0F;
  if (!std::isfinite(feature.scale)) feature.scale = 0.0F;
  return feature;
}

CategoryFeature fit_category(const Column& column, std::span<const std::int32_t> train,
                             const FeatureOptions& options) {
  CategoryFeature feature;
  feature.name = column.name;
  std::vector<std::int64_t> counts(column.values.size());
  for (const std::int32_t row : train) {
    const std::int32_t code = column.codes[static_cast<std::size_t>(row)];
    if (code < 0)
      feature.blank = true;
    else
      ++counts[static_cast<std::size_t>(code)];
  }
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return counts[a] != counts[b] ? counts[a] > counts[b] : column.values[a] < column.values[b];
  });
  for (const std::size_t code : order) {
    if (counts[code] == 0) break;
    if (counts[code] < options.min_count ||
        static_cast<std::int64_t>(feature.values.size()) >= options.max_values)
      feature.rare = true;
    else
      feature.values.push_back(column.values[code]);
  }
  std::sort(feature.values.begin(), feature.values.end());
  return feature;
}

// The number of different values among the training rows.
std::int64_t distinct_values(const Column& column, std::span<const std::int32_t> train) {
  std::vector<bool> seen(column.values.size());
  std::int64_t count = 0;
  for (const std::int32_t row : train) {
    const std::int32_t code = column.codes[static_cast<std::size_t>(row)];
    if (code < 0 || seen[static_cast<std::size_t>(code)]) continue;
    seen[static_cast<std::size_t>(code)] = true;
    ++count;
  }
  return count;
}

const Column& column_of(const Table& table, const std::string& name, ColumnKind kind) {
  const Column* column = table.find(name);
  if (column == nullptr)
    throw Error(ErrorKind::config,
                fmt::format("'{}' has no column '{}'", table.source, printable(name)));
  if (column->kind != kind)
    throw Error(ErrorKind::config,
                fmt::format("column '{}' of '{}' is not {}", printable(name), table.source,
                            kind == ColumnKind::number ? "numeric" : "a category"));
  return *column;
}

// For each code of the table's column, the input that it sets.
std::vector<std::int64_t> input_of_codes(const CategoryFeature& feature, const Column& column) {
  std::unordered_map<std::string_view, std::int64_t> known;
  for (std::size_t i = 0; i < feature.values.size(); ++i)
    known.emplace(feature.values[i], static_cast<std::int64_t>(i));
  std::vector<std::int64_t> inputs;
  for (const std::string& value : column.values) {
    const auto found = known.find(value);
    inputs.push_back(found == known.end() ? feature.unknown_index() : found->second);
  }
  return inputs;
}

} // namespace

std::int64_t CategoryFeature::blank_index() const noexcept {
  return blank ? static_cast<std::int64_t>(values.size()) : unknown_index();
}

std::int64_t CategoryFeature::unknown_index() const noexcept {
  return rare ? width() - 1 : width();
}

std::int64_t Features::width() const noexcept {
  std::int64_t width = image_shape.empty() ? 0 : 1;
  for (const std::int64_t size : image_shape)
    width *= size;
  for (const NumericFeature& feature : numeric)
    width += feature.indicator ? 2 : 1;
  for (const CategoryFeature& feature : categorical)
    width += feature.width();
  return width;
}

Features fit_features(const Table& table, std::span<const std::int32_t> train,
                      std::string_view target, const FeatureOptions& options,
                      std::vector<std::string>& messages) {
  Features features;
  features.blanks = options.blanks;
  if (!contains(features.blanks, "")) features.blanks.insert(features.blanks.begin(), "");
  const auto leave_out = [&](const Column& column, std::string_view why) {
    messages.push_back(fmt::format("column '{}' is left out: {}", printable(column.name), why));
  };
  for (const std::string& name : options.log)
    static_cast<void>(column_of(table, name, ColumnKind::number));
  for (const Column& column : table.columns) {
    if (column.name == target) continue;
    if (column.kind == ColumnKind::number) {
      auto feature = fit_numeric(table, column, train, contains(options.log, column.name));
      if (feature)
        features.numeric.push_back(std::move(*feature));
      else
        leave_out(column, "it is blank in every training row");
      continue;
    }
    const std::int64_t distinct = distinct_values(column, train);
    if (!contains(options.categorical, column.name) && distinct > 50 &&
        distinct * 2 > static_cast<std::int64_t>(train.size())) {
      leave_out(column, fmt::format("{} different texts in {} rows are no categories",
                                    format_count(static_cast<std::uint64_t>(distinct)),
                                    format_count(train.size())));
      continue;
    }
    CategoryFeature feature = fit_category(column, train, options);
    if (feature.width() == 0)
      leave_out(column, "it is blank in every training row");
    else
      features.categorical.push_back(std::move(feature));
  }
  std::stable_partition(features.numeric.begin(), features.numeric.end(),
                        [](const NumericFeature& feature) { return !feature.log; });
  if (features.width() == 0)
    throw Error(ErrorKind::config, fmt::format("'{}' has no column to learn from", table.source));
  return features;
}

Features fit_pixels(std::span<const std::uint8_t> pixels, std::vector<std::int64_t> image_shape,
                    std::span<const std::int32_t> train) {
  Features features;
  features.image_shape = std::move(image_shape);
  const auto size = static_cast<std::size_t>(features.width());
  std::array<std::uint64_t, 256> counts{};
  for (const std::int32_t row : train)
    for (const std::uint8_t pixel : pixels.subspan(static_cast<std::size_t>(row) * size, size))
      ++counts[pixel];
  const double total = static_cast<double>(train.size()) * static_cast<double>(size);
  double sum = 0.0, squares = 0.0;
  for (std::size_t value = 0; value < counts.size(); ++value)
    sum += static_cast<double>(value) * static_cast<double>(counts[value]);
  const double mean = total > 0.0 ? sum / total : 0.0;
  for (std::size_t value = 0; value < counts.size(); ++value) {
    const double d = static_cast<double>(value) - mean;
    squares += d * d * static_cast<double>(counts[value]);
  }
  const double deviation = total > 0.0 ? std::sqrt(squares / total) : 0.0;
  features.pixel_mean = static_cast<float>(mean);
  features.pixel_scale = deviation > 0.0 ? static_cast<float>(1.0 / deviation) : 0.0F;
  return features;
}

void encode(const Features& features, const Table& table, std::span<float> out) {
  const auto width = static_cast<std::size_t>(features.width());
  const auto rows = static_cast<std::size_t>(table.rows());
  if (out.size() != rows * width)
    throw Error(ErrorKind::failed, "the encoded rows do not fit their buffer");
  std::fill(out.begin(), out.end(), 0.0F);
  std::size_t at = 0, indicator_at = features.numeric.size();
  for (const NumericFeature& feature : features.numeric) {
    const Column& column = column_of(table, feature.name, ColumnKind::number);
    for (std::size_t row = 0; row < rows; ++row) {
      const float x = column.numbers[row];
      out[row * width + at] = (filled(feature, x) - feature.mean) * feature.scale;
      if (feature.indicator && std::isnan(x)) out[row * width + indicator_at] = 1.0F;
    }
    ++at;
    if (feature.indicator) ++indicator_at;
  }
  at = indicator_at;
  for (const CategoryFeature& feature : features.categorical) {
    const Column& column = column_of(table, feature.name, ColumnKind::category);
    const std::vector<std::int64_t> inputs = input_of_codes(feature, column);
    for (std::size_t row = 0; row < rows; ++row) {
      const std::int32_t code = column.codes[row];
      const std::int64_t input =
          code < 0 ? feature.blank_index() : inputs[static_cast<std::size_t>(code)];
      if (input < feature.width()) out[row * width + at + static_cast<std::size_t>(input)] = 1.0F;
    }
    at += static_cast<std::size_t>(feature.width());
  }
}

Json features_json(const Features& features) {
  Json json = json_object({{"numeric", json_array()}, {"categorical", json_array()}});
  for (const NumericFeature& feature : features.numeric)
    json["numeric"].push_back(json_object({{"name", feature.name},
                                           {"median", feature.median},
                                           {"log", feature.log},
                                           {"indicator", feature.indicator},
                                           {"mean", feature.mean},
                                           {"scale", feature.scale}}));
  for (const CategoryFeature& feature : features.categorical)
    json["categorical"].push_back(json_object({{"name", feature.name},
                                               {"values", feature.values},
                                               {"blank", feature.blank},
                                               {"rare", feature.rare}}));
  if (!features.image_shape.empty())
    json["image"] = json_object({{"shape", Json(features.image_shape)},
                                 {"mean", Json(features.pixel_mean)},
                                 {"scale", Json(features.pixel_scale)}});
  json["blanks"] = features.blanks;
  return json;
}

} // namespace mlp::train
