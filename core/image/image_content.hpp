// The files of an image as its layers make them, one over the other, without unpacking any: what
// each file is and the digest of its content, and the texts that name packages.
// Source: OCI Image Format Specification 1.1, layer.md (whiteouts).
#pragma once

#include "core/base/tar.hpp"
#include "core/image/layout.hpp"
#include "core/image/tree.hpp"

#include <map>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace mlp::image {

// Beyond these an image is refused: at about 300 bytes an entry beside its names.
inline constexpr std::size_t max_content_entries = 1000000;
inline constexpr std::size_t max_content_names = 256u << 20; // bytes of paths, targets, attributes
inline constexpr std::size_t max_content_texts = 128u << 20; // bytes of texts

struct ContentFile {
  TarEntry::Kind kind = TarEntry::Kind::file; // a hard link is the file that it shares
  unsigned mode = 0;
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t device_major = 0, device_minor = 0;
  std::uint64_t size = 0;
  std::int64_t modified = 0; // seconds since 1970
  std::string target;        // of a symbolic link
  std::vector<std::pair<std::string, std::string>> attributes;
  Digest content; // of a file
  std::size_t layer = 0;
};

// By path, without "/" before it. Folders that no layer has an entry of are not there.
struct ImageContent {
  std::map<std::string, ContentFile, std::less<>> files;
  std::map<std::string, std::string, std::less<>> package_texts; // see is_package_text()
  std::size_t name_bytes = 0, text_bytes = 0;
};

// Puts a layer, the `number`th from 0, over what is there. Reads all of the layer; blocks. Throws
// Error(integrity) for a damaged layer, a path with "..", a hard link to nothing; Error(failed)
// beyond the limits; Error(interrupted).
void add_layer(ImageContent& content, const Layout& layout, const Image& image, std::size_t number,
               const std::stop_token& stop);

// All layers.
[[nodiscard]] ImageContent image_content(const Layout& layout, const Image& image,
                                         const std::stop_token& stop);

// The texts that name packages from unpacked layers: the same as image_content() has, faster.
[[nodiscard]] std::map<std::string, std::string, std::less<>>
package_texts(Tree& tree, const std::stop_token& stop);

} // namespace mlp::image
