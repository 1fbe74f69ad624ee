// The data of one training in memory: the parts read, cut, preprocessed, and laid out as fit()
// takes them.
#pragma once

#include "core/config/trainer_spec.hpp"
#include "core/train/features.hpp"
#include "core/train/fit.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mlp::train {

struct TrainingData {
  Features features;
  std::string target;               // the column; empty for images
  std::vector<std::string> classes; // classifier: names of the outputs, in their order
  // Regressor: the network learns (y - target_mean) / target_scale.
  float target_mean = 0.0F, target_scale = 1.0F;

  // Rows of all parts; one of the first two is filled.
  std::vector<float> inputs;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  std::vector<float> targets;
  std::vector<std::int32_t> train, validation, test;

  // A view for fit(); valid as long as the object stays where it is and unchanged.
  [[nodiscard]] Dataset view() const;
  [[nodiscard]] std::int64_t rows() const noexcept;
};

// Reads what `spec.data` describes below `root` and cuts it by `spec.split`; `spec` has passed
// check(). What a user should know (rows, columns left out) is added to `messages`. Blocks. Throws
// Error: config for data that does not fit the settings, with file and line (a label outside the
// classes, a blank target, a number that is none), not_found, integrity, failed.
[[nodiscard]] TrainingData load_training_data(const config::TrainerSpec& spec,
                                              const std::filesystem::path& root,
                                              std::vector<std::string>& messages);

// Cross-entropy's weights as the spec has them: balanced, given by label, or none (empty).
[[nodiscard]] std::vector<float> class_weights(const config::TrainerSpec& spec,
                                               const TrainingData& data);

} // namespace mlp::train
