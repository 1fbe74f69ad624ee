// What differs between two images: configuration, layers, packages, files.
#pragma once

#include "core/image/image_content.hpp"
#include "core/image/packages.hpp"

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::image {

struct ConfigChange {
  std::string member;        // "user", "env.PATH", "labels.x"
  std::string before, after; // JSON; empty: it is not there
  bool operator==(const ConfigChange&) const = default;
};

struct PackageChange {
  Package::Kind kind = Package::Kind::debian;
  std::string name;
  std::string before, after; // versions, sorted and joined by ", "; empty: not installed
  bool operator==(const PackageChange&) const = default;
};

struct FileChange {
  std::string path;
  std::optional<ContentFile> before, after;
  // Of a file that both have: "type", "content", "size", "target", "device", "mode", "owner",
  // "attributes", "time", those that differ in this order.
  std::vector<std::string> what;
};

struct ImageDiff {
  // identical: the same manifest. equal: the same configuration and files, in other bytes (another
  // compression, layers cut elsewhere, history).
  enum class Verdict { identical, equal, different } verdict = Verdict::identical;
  std::vector<ConfigChange> config;
  std::size_t shared_layers = 0;                   // from the base on, by diff_id
  std::vector<Digest> layers_before, layers_after; // the diff_ids of the others
  std::vector<PackageChange> packages;             // sorted by kind and name
  std::vector<FileChange> files; // sorted by path; at most as many as were asked for
  std::uint64_t added = 0, removed = 0, changed = 0; // of all; those with another time only too
  std::uint64_t only_time = 0;                       // of `changed`
};
[[nodiscard]] std::string_view verdict_word(ImageDiff::Verdict verdict) noexcept;

// Layers that both have are read once, and none if the images are the same. Blocks; memory is that
// of two ImageContents. Throws what add_layer() does.
[[nodiscard]] ImageDiff diff_images(const Layout& layout_before, const Image& before,
                                    const Layout& layout_after, const Image& after,
                                    std::size_t most_files, const std::stop_token& stop);

} // namespace mlp::image
