// What the readers of CSV and IDX data sets share, and their entry points. Internal to the loading
// of training data; see training_data.hpp.
#pragma once

#include "core/train/data_files.hpp"
#include "core/train/training_data.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::train {

[[nodiscard]] TrainingData load_csv_data(const config::TrainerSpec& spec, const DataFiles& files,
                                         std::vector<std::string>& messages);
[[nodiscard]] TrainingData load_idx_data(const config::TrainerSpec& spec, const DataFiles& files,
                                         std::vector<std::string>& messages);

// Throws Error(config) unless there are 2 to 10,000 classes. `subject` is what the classes were
// taken from, e.g. "column 'income' of 'train.csv'".
void check_class_count(const std::vector<std::string>& classes, std::string_view subject);

// first, first + 1, ..., as row numbers.
[[nodiscard]] std::vector<std::int32_t> row_range(std::size_t first, std::size_t count);

// Cuts test and validation from data.train where they have no file of their own. Throws
// Error(config) if no row is left to train on.
void split_parts(const config::TrainerSpec& spec, const DataFiles& files, TrainingData& data);

} // namespace mlp::train
