// From what a person types to one run id.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/text.hpp"
#include "core/track/run_folder.hpp"
#include "core/track/run_index.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::track {

namespace {

// Of ids, newest first, the run that was made last: ids tell seconds, specs milliseconds.
std::string latest_of(const fs::path& runs, const std::vector<std::string>& ids) {
  const auto same_second = [&](const std::string& id) {
    return run_id_second(id) == run_id_second(ids.front());
  };
  const auto end = std::find_if_not(ids.begin(), ids.end(), same_second);
  if (end - ids.begin() == 1) return ids.front();
  std::string latest = ids.front();
  WallTime newest{};
  for (auto id = ids.begin(); id != end; ++id) {
    try {
      const WallTime created = read_run_spec({runs / *id}).created;
      if (created <= newest) continue;
      newest = created;
      latest = *id;
    } catch (const Error&) { // damaged, or removed meanwhile
    }
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
