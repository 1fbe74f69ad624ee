// Preprocessing that is fitted on the training rows and travels inside the saved model: what a
// table's columns or an image's pixels become before they enter the network.
//
// A numeric column: blanks become the median, log(1 + x) if asked for, then (x - mean) * scale;
// where training rows have blanks, one more input says "was blank". A category: one input a value
// (one-hot), one for blanks if training rows have any, one for values that are rare in training;
// a value that was never seen counts as rare, or as none of them. Inputs stand in this order:
// numbers, blank indicators, categories.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/train/table.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mlp::train {

struct NumericFeature {
  std::string name;
  float median = 0.0F; // replaces a blank, before log
  bool log = false;    // log(1 + max(x, 0))
  bool indicator = false;
  float mean = 0.0F, scale = 1.0F; // scale is 0 for a column that is constant in training
};

struct CategoryFeature {
  std::string name;
  std::vector<std::string> values; // sorted
  bool blank = false;              // an input for blanks, after the values
  bool rare = false;               // an input for rare and unknown values, the last one
  [[nodiscard]] std::int64_t width() const noexcept {
    return static_cast<std::int64_t>(values.size()) + (blank ? 1 : 0) + (rare ? 1 : 0);
  }
  // The input that a value sets, or width() for none.
  [[nodiscard]] std::int64_t blank_index() const noexcept;
  [[nodiscard]] std::int64_t unknown_index() const noexcept;
};

// Either columns or an image is given.
struct Features {
  std::vector<NumericFeature> numeric; // those with log come last
  std::vector<CategoryFeature> categorical;
  std::vector<std::string> blanks; // markers of a blank category; always with ""

  std::vector<std::int64_t> image_shape;       // without the number of images
  float pixel_mean = 0.0F, pixel_scale = 1.0F; // of a byte: (x - mean) * scale

  [[nodiscard]] std::int64_t width() const noexcept; // inputs of the network
};

struct FeatureOptions {
  std::vector<std::string> log;         // names of numeric columns; unknown ones are an error
  std::vector<std::string> categorical; // columns to keep however many values they have
  std::vector<std::string> blanks;
  std::int64_t min_count = 3;     // a value on fewer training rows is rare
  std::int64_t max_values = 1000; // a column; what is less frequent is rare
};

// Fits on the rows `train` of the table's columns but `target` (empty: all). Columns that cannot
// help are left out, and why is added to `messages`: no value in any training row; text with a
// different value in more than half of the rows (a name, an id). Throws Error(config), naming file
// and line where it can: a negative number in a log column, no column left.
[[nodiscard]] Features fit_features(const Table& table, std::span<const std::int32_t> train,
                                    std::string_view target, const FeatureOptions& options,
                                    std::vector<std::string>& messages);

// Fits on images: mean and standard deviation of all bytes of the rows `train`.
[[nodiscard]] Features fit_pixels(std::span<const std::uint8_t> pixels,
                                  std::vector<std::int64_t> image_shape,
                                  std::span<const std::int32_t> train);

// Writes the table's rows as width() floats each to `out`, which holds rows x width() elements.
// Throws Error(config) if the table lacks a column or has it in another kind.
void encode(const Features& features, const Table& table, std::span<float> out);

// All of it, e.g. for the identity of a checkpoint. The same features give the same text.
[[nodiscard]] Json features_json(const Features& features);

} // namespace mlp::train
