// A CSV file as typed columns: numbers as floats, categories as codes into a list of their values.
#pragma once

#include "core/train/csv.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::train {

enum class ColumnKind { number, category };

// One value a row in `numbers` (blank: NaN) or in `codes` (blank: -1), after the kind.
struct Column {
  std::string name;
  ColumnKind kind = ColumnKind::number;
  std::vector<float> numbers;
  std::vector<std::int32_t> codes;
  std::vector<std::string> values; // category: distinct values in the order they appear, UTF-8
};

struct Table {
  std::string source;               // the file, as errors call it
  std::vector<Column> columns;      // in the file's order
  std::vector<std::uint32_t> lines; // a row's line in the file
  [[nodiscard]] std::int64_t rows() const noexcept {
    return static_cast<std::int64_t>(lines.size());
  }
  [[nodiscard]] const Column* find(std::string_view name) const noexcept;
};

struct TableOptions {
  CsvDialect dialect;
  bool header = true;
  std::vector<std::string> columns; // names, for a file without a header
  std::vector<std::string> blanks = {"", "?", "NA", "N/A", "NaN", "nan", "null"};
  // The kind of a column that is to be read as such. A column that is not named here is read as
  // its values suggest, or left out if `only_declared`.
  std::map<std::string, ColumnKind> kinds;
  bool only_declared = false;
  std::vector<std::string> excluded; // columns to leave out
  std::uint64_t max_bytes = 0;       // of memory for the table; 0: half of this machine's
};

// The name of the column whose header field, from 0 the `index`-th, is this: "column_3" if the
// third is empty.
[[nodiscard]] std::string column_name(std::string_view field, std::size_t index);

// Opens the file from its beginning; called once or twice.
using SourceOpener = std::function<std::unique_ptr<ByteSource>()>;

// Reads all rows. A column whose kind is open is a category if its first rows hold text, or if text
// turns up later (the file is then read again); but where at least 99 % are numbers, text is an
// error. Throws Error(config) with file, line and column: too many or too few fields, no number in
// a numeric column, a number that no float holds, text that is not UTF-8, a column that is missing
// or named twice, no rows, more than `max_bytes`; and what CsvReader throws. Blocks.
[[nodiscard]] Table read_table(const SourceOpener& open, const TableOptions& options);
[[nodiscard]] Table read_table(const std::filesystem::path& path, const TableOptions& options);

} // namespace mlp::train
