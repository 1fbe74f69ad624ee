// How an image is named: in a registry, in a layout, in an archive.
// Sources: the grammar of distribution/reference (Docker's rules of defaults among it); skopeo(1)
// and containers-transports(5) for "docker://", "oci:", "oci-archive:" and "docker-archive:".
#pragma once

#include "core/base/fs.hpp"
#include "core/image/layout.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace mlp::image {

// An image in a registry, with nothing left to a default.
struct Reference {
  std::string host;             // "docker.io", "localhost:5000", "[::1]:5000"
  std::string repository;       // "library/debian"
  std::string tag;              // empty if there is a digest and no tag was given
  std::optional<Digest> digest; // goes before the tag

  // "docker.io/library/debian:bookworm@sha256:…"
  [[nodiscard]] std::string text() const;
  // "docker.io/library/debian"
  [[nodiscard]] std::string name() const { return host + "/" + repository; }
  // What a registry is asked for: the digest's text, or the tag.
  [[nodiscard]] std::string selector() const { return digest ? digest->text() : tag; }
  bool operator==(const Reference&) const = default;
};

// "debian" is docker.io/library/debian:latest. Throws Error(usage) that says which part is wrong.
[[nodiscard]] Reference parse_reference(std::string_view text);

enum class Transport {
  name, // none was written: a local image, or else one of a registry
  registry,
  layout,
  oci_archive,
  docker_archive,
};

// An image as a command line names it.
struct ImageName {
  Transport transport = Transport::name;
  // Of a layout or archive: the file or folder, and what the image is called in it; may be empty.
  fs::path path;
  std::string name; // for Transport::name and ::registry: the reference as it was written

  [[nodiscard]] std::string text() const; // as it was given
};

// Throws Error(usage) for an unknown transport or one without a path. What `name` holds is not
// looked at: a local image may be called anything.
[[nodiscard]] ImageName parse_image_name(std::string_view text);

// The name that a local image of this reference has: "digits" is "digits:latest",
// "docker.io/debian" is "docker.io/library/debian:latest". Throws Error(usage) for what no image
// may be called, and for a digest.
[[nodiscard]] std::string local_name(std::string_view text);

// An image of a layout.
struct NamedImage {
  std::string name; // as the index has it; empty if it was found by its digest and has none
  Descriptor manifest;
};

// By name ("digits", "digits:v1", "debian" for docker.io/library/debian:latest), by "NAME@digest",
// by the beginning of a digest (at least 4 hexadecimal digits, with or without "sha256:"). An empty
// text is the only image there is. nullopt if there is none; Error(conflict) if a beginning, or no
// name, fits several.
[[nodiscard]] std::optional<NamedImage> find_image(const Layout& layout, std::string_view text);

} // namespace mlp::image
