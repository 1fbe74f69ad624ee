// Mounting a version of a dataset: which version, what reads it, for how long; and the same in a
// process that is left behind.
#pragma once

#include "cli/data.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace mlp {

struct MountRequest {
  VersionName name;
  fs::path folder;                                  // of data::mount_path()
  std::optional<std::chrono::milliseconds> refresh; // how often to ask for another version
  std::uint64_t cache_bytes = 0;
  bool allow_other = false;
};

// Mounts, prints the line that says so, and returns when it is unmounted, by a signal or by others.
// Throws Error.
void serve_mount(Session& session, const MountRequest& request);

// The same by a process of its own, started with `words` (a command line without the program);
// returns when it has mounted, and throws what it failed with.
void serve_mount_detached(Session& session, const MountRequest& request,
                          const std::vector<std::string>& words);

} // namespace mlp
