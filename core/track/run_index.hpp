// The index over all runs of a project: an SQLite file that is only a cache of the journals. Who
// writes a run never touches it; who reads brings it up to date first. Deleted, damaged or made by
// another version, it is built again from the run folders with the same content.
#pragma once

#include "core/base/fs.hpp"
#include "core/base/time.hpp"
#include "core/track/run_filter.hpp"
#include "core/track/state.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::db {
class Database;
}

namespace mlp::track {

struct RunRow {
  std::string id, task, name;
  RunState state = RunState::pending;
  std::string reason;
  WallTime created{};
  std::optional<WallTime> started, ended;
  int attempts = 0;
  std::optional<int> exit_code;
  std::string user, host;
  std::string commit;
  std::vector<std::string> models;
  std::vector<std::string> tags;
  std::string note;
  std::map<std::string, std::string> params; // JSON text
  std::map<std::string, double> metrics;
  std::string problem; // why the run cannot be read, e.g. a damaged spec.json; else empty
};

struct RunFilter {
  std::vector<RunState> states; // empty: all
  std::string task;             // empty: all
  std::size_t limit = 0;        // 0: all; else the first so many
  std::optional<RunExpression> where = std::nullopt;
  std::optional<RunOrder> order =
      std::nullopt; // else the newest first; so are those that are equal
};

struct IndexPaths {
  fs::path runs;     // .mlp/runs
  fs::path database; // .mlp/index.db
  fs::path lock;     // held while the file is made anew
};

// Not thread-safe. Several processes may have one at a time.
class RunIndex {
 public:
  // Opens the index; one that is missing, damaged or newer is replaced or, where the folder cannot
  // be written, kept in memory. Does not throw for any content of the file. Throws Error for a
  // runs folder that cannot be read (one that does not exist is empty).
  explicit RunIndex(IndexPaths paths);
  ~RunIndex();
  RunIndex(RunIndex&&) = delete;

  // Takes in what changed since the last time: new and removed folders, and journals that have
  // grown. With `newest`, of the runs that had ended only so many of the newest are looked at:
  // enough for a list of these, in a time that does not grow with the number of runs. Returns how
  // many runs were read.
  std::size_t sync(std::size_t newest = 0);
  // Forgets everything and reads all runs.
  std::size_t rebuild();

  // Memory for twice `limit` rows at most, where there is one, and for those of one second.
  [[nodiscard]] std::vector<RunRow> list(const RunFilter& filter = {});
  // Ids that contain `part`, newest first, at most `limit`.
  [[nodiscard]] std::vector<std::string> ids_containing(std::string_view part, std::size_t limit);

  // Names of params or metrics, or tags, that any run has, sorted, at most `limit` of them.
  [[nodiscard]] std::vector<std::string> names(RunField::Kind group, std::size_t limit = 10'000);

  // Every row as text, one line each, by id: equal for equal content. For tests and for reindex.
  [[nodiscard]] std::string dump();
  // False if the index lives in memory only, for want of a place to write.
  [[nodiscard]] bool is_stored() const noexcept { return stored_; }

 private:
  void open();
  void open_in_memory();
  template <class Body>
  auto repaired(const Body& body);
  std::size_t sync_once(std::size_t newest, bool all);

  IndexPaths paths_;
  std::unique_ptr<db::Database> database_;
  bool stored_ = false;
};

// The one run that `reference` means: "latest", the one that list() has first, or any part of an id
// that only one run has. Throws Error(not_found) with near ids as a hint, Error(usage) that lists
// the candidates if several runs have it. Needs no index.
[[nodiscard]] std::string find_run(const fs::path& runs, std::string_view reference);

// Ids of all run folders, newest first. A folder that does not exist has none.
[[nodiscard]] std::vector<std::string> run_ids(const fs::path& runs);

} // namespace mlp::track
