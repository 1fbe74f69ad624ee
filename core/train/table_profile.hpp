// What the columns of a CSV file hold, found in one pass with bounded memory.
#pragma once

#include "core/train/csv.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace mlp::train {

struct ColumnProfile {
  std::string name;
  std::int64_t values = 0;                                // that are not blank
  std::int64_t blanks = 0;                                // empty, ?, NA, N/A, NaN, nan, null
  std::int64_t numbers = 0;                               // of the values
  std::int64_t integers = 0;                              // of the numbers
  double least = std::numeric_limits<double>::infinity(); // of the numbers, as is the rest
  double most = -std::numeric_limits<double>::infinity();
  double mean = 0.0;
  std::int64_t distinct = 0;     // values, at most kMostDistinct + 1, which means more
  std::vector<std::string> some; // the first distinct values
  static constexpr std::int64_t kMostDistinct = 10000;

  // "integer", "number", "text", or "empty" where all is blank.
  [[nodiscard]] const char* type() const noexcept;
};

struct TableProfile {
  std::vector<ColumnProfile> columns;
  std::vector<std::vector<std::string>> first_rows; // as in the file
  std::int64_t rows = 0;
  bool header = true; // false: the first record is a row
  bool ended = true;  // false: there are more rows than max_rows
};

struct ProfileOptions {
  CsvDialect dialect;
  std::size_t kept_rows = 5;
  std::int64_t max_rows = std::numeric_limits<std::int64_t>::max();
  std::function<void()> on_rows = {}; // now and then; what it throws is passed on
};

// The delimiter of ',', ';', tab and '|' that is in the first line most often; ',' if none is.
[[nodiscard]] char guess_delimiter(std::string_view head) noexcept;

// The first record is the header, unless one of its fields is a number; years in steps of one size
// ("country", "2019", "2020") are a header too, if the next record has a number that is no year.
// Memory: a record, and per column up to kMostDistinct hashes. Blocks. Throws Error(config) with
// the line for a record of another number of fields than the first, and what CsvReader throws.
[[nodiscard]] TableProfile profile_table(std::unique_ptr<ByteSource> source,
                                         const ProfileOptions& options);

} // namespace mlp::train
