// Folders that are mounted upon: what is mounted where, making ready, unmounting. Nothing here
// looks into a mount, which may be dead.
#pragma once

#include "core/base/fs.hpp"

#include <optional>
#include <string>

namespace mlp::data {

inline constexpr const char* mount_type = "fuse.mlp";

struct MountPoint {
  fs::path path;
  std::string type;   // "fuse.mlp"
  std::string source; // "digits@3ee313bb7021"
};

// Absolute, with symbolic links resolved as far as that is possible without touching what may be a
// dead mount.
[[nodiscard]] fs::path mount_path(const fs::path& path);

// The mount at exactly this path (of mount_path()), the one on top. Source: /proc/self/mountinfo,
// proc(5).
[[nodiscard]] std::optional<MountPoint> find_mount(const fs::path& path);

// Makes `path` an empty folder: creates it, and removes a dead mount of ours. True if it was
// created. Throws Error: conflict if it is not an empty folder, or is mounted upon.
bool prepare_mount_point(const fs::path& path);

// False if it is in use; with `lazy` it is taken out of the tree even so, and ends when the last
// file is closed. By umount(2), or where that is not allowed by fusermount3. Blocks at most ten
// seconds. Throws Error: denied, not_found, failed.
[[nodiscard]] bool unmount(const fs::path& path, bool lazy);

} // namespace mlp::data
