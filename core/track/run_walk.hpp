// What is in a run's folder, for copies and archives: a walk that follows no link, and opens only
// what it has seen to be a file.
#pragma once

#include "core/base/fs.hpp"
#include "core/track/run_copy.hpp"

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::track {

struct WalkEntry {
  enum class Kind { file, folder, link };
  Kind kind = Kind::file;
  fs::path path;      // relative to the run
  std::string target; // of a link
  bool executable = false;
};

// Opens a regular file, never through a link, never waiting for the other end of a pipe. Throws
// Error(integrity) for anything else.
[[nodiscard]] File open_plain(const fs::path& path);

// Not thread-safe. Limits and stop are the caller's and must outlive it.
class RunWalk {
 public:
  // `strict`: a link that may lead out of the run, and what is neither file nor folder, is
  // Error(integrity); else it goes to `left_out`.
  RunWalk(fs::path root, bool strict, const CopyLimits& limits, const std::stop_token& stop)
      : root_(std::move(root)), strict_(strict), limits_(limits), stop_(stop) {}

  // Calls `each` for every entry, by name, a folder before what is in it; without locks and
  // progress. Throws Error: integrity above a limit, interrupted, denied.
  void run(const std::function<void(const WalkEntry&)>& each) { folder({}, 0, each); }

  std::vector<std::string> left_out;

 private:
  void folder(const fs::path& relative, std::size_t depth,
              const std::function<void(const WalkEntry&)>& each);
  void entry(const fs::path& path, std::size_t depth,
             const std::function<void(const WalkEntry&)>& each);

  fs::path root_;
  bool strict_;
  const CopyLimits& limits_;
  const std::stop_token& stop_;
  std::uint64_t entries_ = 0;
};

} // namespace mlp::track
