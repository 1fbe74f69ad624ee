// Layers unpacked into folders that an overlay can use, once for each layer and user of this
// machine.
// Source: OCI Image Format Specification 1.1, layer.md (whiteouts); overlayfs.rst of the kernel
// (character device 0/0, user.overlay.opaque).
#pragma once

#include "core/base/progress.hpp"
#include "core/image/layout.hpp"

#include <chrono>
#include <cstdint>
#include <set>
#include <stop_token>
#include <vector>

namespace mlp::image {

// What is kept of an entry's owner, as a file system without privilege cannot: the extended
// attribute "user.mlp.owner" of a file or folder, "UID:GID", if it is not 0:0. An overlay copies it
// with the file.
inline constexpr const char* owner_attribute = "user.mlp.owner";

// The folder of unpacked layers: $XDG_CACHE_HOME/mlp/layers. Removes nothing by itself: see gc().
class UnpackedLayers {
 public:
  explicit UnpackedLayers(fs::path folder);
  // The user's, as said above. Throws Error(config) where there is no HOME.
  [[nodiscard]] static fs::path user_folder();

  // Where the image's layers are, the base first, one that is there twice once; what is not there
  // yet is unpacked, several layers at a time, each in a temporary folder that is renamed when all
  // of it is right: its bytes have the manifest's digest and its tar has the config's diff_id.
  // Every entry is hostile: one that would leave the folder, through ".." or a link, is
  // Error(integrity); devices are left out. What a killed process left of a layer is removed. Safe
  // in several processes at once: one unpacks, the others wait. Throws Error(integrity),
  // Error(failed) for a full disk or a file system without extended attributes, Error(interrupted).
  [[nodiscard]] std::vector<fs::path> ensure(const Layout& layout, const Image& image,
                                             Progress& progress, const std::stop_token& stop);
  // The same for a layer that was just made: `upper` becomes the layer's folder by a rename, if it
  // is on the same file system and the layer is not there yet.
  void adopt(const Digest& diff_id, const fs::path& upper);

  struct Garbage {
    std::uint64_t layers = 0, bytes = 0; // bytes on disk
    std::uint64_t kept = 0;              // layers
  };
  // Removes the layers that are not `needed`, were not asked for since `age` and are in no running
  // container, and what killed processes left. `dry`: only counts.
  Garbage gc(const std::set<Digest>& needed, std::chrono::seconds age, bool dry,
             const std::stop_token& stop);

  // <folder>/<first 24 hexadecimal digits of the diff_id>
  [[nodiscard]] fs::path path_of(const Digest& diff_id) const;
  [[nodiscard]] bool has(const Digest& diff_id) const;

 private:
  void unpack(const Layout& layout, const Descriptor& layer, const Digest& diff_id,
              Progress& progress, const std::stop_token& stop);
  fs::path folder_;
};

} // namespace mlp::image
