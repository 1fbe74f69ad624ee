// A model's outputs as lines, one a row: CSV or JSON.
#pragma once

#include "core/model/tensor.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mlp {

// An output with one value a row is a column. One with more is a column a value, except beside
// "label": there the probabilities are one column, "probability", that of the label, unless all are
// asked for.
class PredictionText {
 public:
  // `classes` name the probabilities, where they are known.
  PredictionText(std::vector<std::string> classes, bool all_values)
      : classes_(std::move(classes)), all_values_(all_values) {}

  // The line that names the columns. It depends on the sizes in a batch.
  [[nodiscard]] std::string csv_header(std::span<const model::NamedTensor> outputs) const;
  // The lines of a batch. Throws Error(failed) for an output that is not one value or more a row.
  [[nodiscard]] std::vector<std::string> csv(std::span<const model::NamedTensor> outputs,
                                             std::size_t rows) const;
  // One JSON object a row: outputs by name, a list where a row has more than one value.
  [[nodiscard]] std::vector<std::string> json(std::span<const model::NamedTensor> outputs,
                                              std::size_t rows) const;

 private:
  [[nodiscard]] bool is_summed_up(std::span<const model::NamedTensor> outputs,
                                  const model::NamedTensor& output) const;

  std::vector<std::string> classes_;
  bool all_values_;
};

} // namespace mlp
