// What the commands about runs share: opening the index, finding a run, a run as JSON.
#pragma once

#include "cli/session.hpp"
#include "core/base/json_fwd.hpp"
#include "core/track/run_index.hpp"
#include "core/track/run_record.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace mlp {

[[nodiscard]] track::IndexPaths index_paths(const config::Project& project);

// A run by "latest" or any part of its id that is its own; see track::find_run.
[[nodiscard]] track::RunFolder find_run_folder(Session& session, std::string_view reference);

// The record of `runs show --json` and of `train --json`.
[[nodiscard]] Json run_json(const track::RunRecord& run);
// One row of `runs ls --json`.
[[nodiscard]] Json run_row_json(const track::RunRow& row);

// The one number that says most about a run: of the test set before validation before training,
// quality before loss. nullptr if there is none.
[[nodiscard]] const std::pair<const std::string, double>*
headline_metric(const std::map<std::string, double>& metrics);

// The first line of a text, cut to `columns` with "..." if there is more.
[[nodiscard]] std::string first_line(std::string_view text, std::size_t columns);

// The last `lines` lines of a file, at most 16 KiB of it, without control characters.
// Of those of one process alone, if it is named; see job::line_prefix().
[[nodiscard]] std::vector<std::string> last_lines(const fs::path& path, std::size_t lines,
                                                  const std::string& process = {});

} // namespace mlp
