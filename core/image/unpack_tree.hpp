// The entries of a layer as files of a folder, in the form that an overlay with `userxattr` reads.
// Source: OCI Image Format Specification 1.1, layer.md; overlayfs.rst of the kernel.
#pragma once

#include "core/base/fs.hpp"
#include "core/base/tar.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace mlp::image {

// What an entry's path asks for.
struct LayerPath {
  enum class Kind { entry, whiteout, opaque, ignored };
  Kind kind = Kind::entry;
  std::string folder; // relative, "" for the root
  std::string name;   // in it; empty for the root itself. Of a whiteout: what it removes
};
// A leading '/' means the layer's root. nullopt for a path that leads out of it or that no file
// system holds: a ".." component, a NUL, more than 4095 bytes or 500 components, a component of
// more than 255 bytes. A pure function.
[[nodiscard]] std::optional<LayerPath> parse_layer_path(std::string_view path);

struct UnpackedEntries {
  std::uint64_t entries = 0;
  std::uint64_t devices = 0; // left out
};

// Unpacks all entries into `folder`, which is empty and nobody else's. The last of several entries
// of one path counts. Owners are noted (owner_attribute); modes and times are the entries', those
// of folders without an entry 0755. Of extended attributes only user.* is kept. `advance` gets the
// bytes of files as they are written. Throws Error(integrity) for an entry that would leave the
// folder, and for more than 4 million of them; Error(failed), Error(interrupted).
UnpackedEntries unpack_tree(TarReader& tar, const fs::path& folder,
                            const std::function<void(std::uint64_t)>& advance,
                            const std::stop_token& stop);

// Removes a tree of our own files, whatever the modes of its folders. True if something was there.
bool remove_tree(const fs::path& folder);

} // namespace mlp::image
