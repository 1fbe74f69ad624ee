// From what a person types to one run id.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/text.hpp"
#include "core/track/run_folder.hpp"
#include "core/track/run_index.hpp"

#include <fmt/format.h>

namespace mlp::track {

namespace {

// Of ids, newest first, the run that was made last: ids tell seconds, files more.
std::string latest_of(const fs::path& runs, const std::vector<std::string>& ids) {
  constexpr std::size_t second = sizeof("20260131-120000") - 1;
  std::string latest = ids.front();
  fs::file_time_type newest = fs::file_time_type::min();
  for (const std::string& id : ids) {
    if (id.compare(0, second, ids.front(), 0, second) != 0) break;
    std::error_code gone;
    const auto time = fs::last_write_time(RunFolder{runs / id}.spec(), gone);
    if (gone || time <= newest) continue;
    newest = time;
    latest = id;
  }
  return latest;
}

} // namespace

std::string find_run(const fs::path& runs, std::string_view reference) {
  constexpr std::size_t shown = 8;
  if (is_run_id(reference) && fs::is_directory(runs / reference)) return std::string(reference);
  const std::vector<std::string> ids = run_ids(runs);
  if (reference == "latest" && !ids.empty()) return latest_of(runs, ids);
  std::vector<std::string> matches;
  if (!reference.empty())
    for (const std::string& id : ids)
      if (id.find(reference) != std::string::npos) matches.push_back(id);
  if (matches.size() == 1) return matches.front();
  if (matches.empty()) {
    Error error(ErrorKind::not_found, fmt::format("no run '{}'", printable(reference)));
    if (ids.empty())
      error.add_hint("there is no run yet: start one with mlp train");
    else if (const auto near = nearest_name(reference, ids))
      error.add_hint(fmt::format("did you mean '{}'?", *near));
    else
      error.add_hint("see them with: mlp runs ls");
    throw error;
  }
  const std::size_t total = matches.size();
  if (total > shown) matches.resize(shown);
  throw Error(ErrorKind::usage,
              fmt::format("'{}' is part of the ids of {} runs", printable(reference), total))
      .with_hint(
          fmt::format("{}: {}", total > shown ? "the newest" : "they are", join(matches, ", ")));
}

} // namespace mlp::track
