// Several runs side by side: a row a run, a column a param that differs or a metric; as aligned
// text, Markdown or CSV.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/track/run_record.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace mlp {

struct RunTable {
  std::vector<std::string> header;
  std::vector<bool> numeric;                  // by column: every value there is a number
  std::vector<std::vector<std::string>> rows; // "" where a run has none
};

// Numbers with `digits` significant digits; 0: as many as it takes to read the same number back.
[[nodiscard]] RunTable run_table(const std::vector<track::RunRecord>& runs, int digits);
// The record of `runs compare --json`.
[[nodiscard]] Json run_table_json(const std::vector<track::RunRecord>& runs);

// Columns two spaces apart; control characters made visible.
[[nodiscard]] std::string aligned_text(const RunTable& table);
// A table of GitHub-flavoured Markdown; what Markdown or HTML would read is escaped.
[[nodiscard]] std::string markdown_text(const RunTable& table);
// RFC 4180, but for the line's end, which is a newline alone.
[[nodiscard]] std::string csv_text(const RunTable& table);

} // namespace mlp
