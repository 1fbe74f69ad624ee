// Layers made of files: a project's own, what COPY takes, and what a program left in the upper
// folder of an overlay. Entries are sorted, their times and owners are given, so that the same
// files make the same layer anywhere.
#pragma once

#include "core/image/layer_writer.hpp"
#include "core/image/tree.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

// One file as it will be in a layer, and where its content comes from.
struct PlacedEntry {
  TarEntry entry;     // its path is the one in the image, without "/" at its beginning
  std::string source; // in the tree, of a regular file
  std::string stamp;  // see TreeNode
  std::int64_t changed = 0;
};
// By path in the image.
using Placed = std::map<std::string, PlacedEntry, std::less<>>;

struct Placement {
  std::uint32_t uid = 0, gid = 0;
  std::optional<unsigned> mode; // of all files and folders; else 0755 or 0644, as they are
  // Owners and modes are those of the tree: for files that come out of an image.
  bool keep = false;
};

// The tree's file, or its folder with all below it, as `target` of the image. An empty target is
// the root, of which there is no entry. Later entries replace those with the same path. Throws
// Error(not_found) for a source that is not there, Error(failed) for a device or socket.
void place(Tree& tree, const std::string& source, const std::string& target,
           const Placement& placement, Placed& placed, const std::stop_token& stop);

// A folder with mode 0755 that was in no tree.
void place_folder(const std::string& target, const Placement& placement, Placed& placed);

// Tells one list of files from another: equal as long as no file was written to. Empty if one was
// written so recently that its stamp need not tell.
[[nodiscard]] std::string fingerprint(const Placed& placed);

// All times are `time`, in seconds since 1970. Throws Error(interrupted) and what reading throws.
[[nodiscard]] Layer write_files_layer(Layout& layout, Tree& tree, const Placed& placed,
                                      std::int64_t time, const std::stop_token& stop);

// Takes away, from the upper folder of an overlay that a program has written, what differs from one
// run of the program to the next: logs, caches, compiled Python, temporary files; and brings times
// after `time` back to it.
void tidy_changes(const fs::path& upper, std::int64_t time, const std::stop_token& stop);
// The upper folder as a layer; whiteouts as OCI has them. nullopt if nothing is in it.
[[nodiscard]] std::optional<Layer> write_changes_layer(Layout& layout, const fs::path& upper,
                                                       const std::stop_token& stop);

} // namespace mlp::image
