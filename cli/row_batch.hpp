// Rows of values, as files have them, into the tensors that a model takes.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/model/tensor.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

// What one row gives one input of the model.
struct RowInput {
  model::TensorSpec spec;
  std::size_t size = 1; // values a row: the product of the dimensions after the first
};

// Collects rows until take(). A row that throws leaves the batch unusable.
class RowBatch {
 public:
  // Throws Error(config) for a model that does not take rows: an input whose first dimension is
  // fixed at more than 1, or another is open.
  explicit RowBatch(const model::Signature& signature);

  [[nodiscard]] const std::vector<RowInput>& inputs() const noexcept { return inputs_; }
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  // How many rows to put into one batch: what a few MiB hold, 1 for a model that takes no more.
  [[nodiscard]] std::size_t max_rows() const noexcept { return max_rows_; }

  // One value of `input` from text. Blanks ("", "?", "NA", ...) are NaN in floating point inputs.
  // Throws Error(config): "'abc' is not a number".
  void add_text(std::size_t input, std::string_view text);
  // True for text that a number is written as, whether or not `input` could hold it.
  [[nodiscard]] static bool is_number(std::string_view text);
  // All values of `input`: a value, or nested lists of them; null is a blank. Throws Error(config).
  void add_json(std::size_t input, const Json& value);
  // All values of `input` from unsigned bytes, as images are.
  void add_bytes(std::size_t input, std::string_view bytes);
  // Ends a row.
  void end_row() noexcept { ++rows_; }

  // The rows so far; the batch is empty then.
  [[nodiscard]] std::vector<model::NamedTensor> take();

 private:
  std::vector<RowInput> inputs_;
  std::vector<model::Tensor> tensors_;
  std::size_t rows_ = 0;
  std::size_t max_rows_ = 1;
};

} // namespace mlp
