// Which files of a dataset the trainer reads, and in which format.
#pragma once

#include "core/config/trainer_spec.hpp"

#include <filesystem>
#include <string>

namespace mlp::train {

// One part of the data; `path` is empty if there is none. Names are relative to the dataset, for
// errors and messages.
struct DataFile {
  std::filesystem::path path, labels_path; // labels: IDX only
  std::string name, labels_name;
  [[nodiscard]] bool exists() const noexcept { return !path.empty(); }
};

struct DataFiles {
  config::DataFormat format = config::DataFormat::csv; // csv or idx
  DataFile train, validation, test;
};

// `root` is the dataset's folder, or its only file. Without `train` in the settings it takes the
// folder's one CSV file; or train.csv with validation.csv and test.csv; or IDX files named as
// MNIST's (train-images..., train-labels..., t10k-images... or test-images...), gzip or not. Labels
// that are not named are the file whose name says "labels" where that of the images says "images".
// Throws Error: config for a name that leaves the folder, not_found for a file that is not there
// (with the nearest), config if it cannot tell what to read (with what is there).
[[nodiscard]] DataFiles find_data_files(const config::TrainerData& data,
                                        const std::filesystem::path& root);

} // namespace mlp::train
