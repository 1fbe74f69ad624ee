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

// What `mlp data mount` takes, but for --detach; and what was given. Throws Error.
[[nodiscard]] std::vector<Argument> mount_arguments();
[[nodiscard]] std::vector<Option> mount_options();
[[nodiscard]] MountRequest mount_request(Session& session);
// The same as words for another mlp.
[[nodiscard]] std::vector<std::string> mount_words(Session& session, const MountRequest& request);

// Mounts, prints the line that says so, and returns when it is unmounted, by a signal or by others.
// Throws Error.
void serve_mount(Session& session, const MountRequest& request);

// The same by a process of its own, `mlp __mount`; returns when it has mounted, and throws what it
// failed with.
void serve_mount_detached(Session& session, const MountRequest& request);

} // namespace mlp
