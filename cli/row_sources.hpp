// Files that `predict` reads: CSV, JSON records, V2 requests, IDX images; each as batches of
// inputs.
#pragma once

#include "core/model/tensor.hpp"
#include "core/train/byte_source.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

// A stream of batches in bounded memory. Not thread-safe.
class RowSource {
 public:
  virtual ~RowSource() = default;
  // The inputs of the next rows; empty at the end. Throws Error(config) that names file and line.
  [[nodiscard]] virtual std::vector<model::NamedTensor> next() = 0;
};

struct RowSourceOptions {
  std::string format; // "csv", "json", "v2" or "idx"; empty: told by the first bytes
  bool header = true; // of CSV: false says that there is none
  char delimiter = ',';
  // Told once, with the columns of the file that the model does not use.
  std::function<void(const std::vector<std::string>&)> on_unused = nullptr;
};

// Names of formats, for completion and messages.
[[nodiscard]] const std::vector<std::string>& row_formats();

// `signature` must outlive the source. Throws Error: usage for an unknown format, config for a file
// that does not fit the model.
[[nodiscard]] std::unique_ptr<RowSource> open_rows(std::unique_ptr<train::ByteSource> source,
                                                   const model::Signature& signature,
                                                   RowSourceOptions options);

} // namespace mlp
