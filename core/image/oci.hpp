// The documents of an OCI image as values, read with limits and written always in the same bytes.
// Sources: OCI Image Format Specification 1.1 (descriptor.md, manifest.md, image-index.md,
// config.md); Docker's "Image Manifest Version 2, Schema 2", whose media types are read too.
#pragma once

#include "core/base/digest.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

namespace media {
inline constexpr std::string_view manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view empty = "application/vnd.oci.empty.v1+json";
inline constexpr std::string_view docker_manifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_index =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_config = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view docker_layer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view docker_layer_gzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
} // namespace media

// No document of an image is larger; registries have the same limit.
inline constexpr std::size_t max_document = 4u << 20;

// The annotation that names a manifest in the index of a layout.
inline constexpr std::string_view ref_name_annotation = "org.opencontainers.image.ref.name";

using Annotations = std::map<std::string, std::string, std::less<>>;

struct Platform {
  std::string os = "linux";
  std::string architecture; // in Go's words: "amd64", "arm64"
  std::string variant;      // "v8"; mostly empty
  bool operator==(const Platform&) const = default;
};
// That of this machine.
[[nodiscard]] Platform this_platform();
// "linux/amd64", "linux/arm64/v8"; throws Error(usage).
[[nodiscard]] Platform parse_platform(std::string_view text);
[[nodiscard]] std::string platform_text(const Platform& platform);

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0; // bytes
  Annotations annotations = {};
  std::optional<Platform> platform = {};
  std::string artifact_type = {};
  bool operator==(const Descriptor&) const = default;
};

struct Manifest {
  std::string media_type = std::string(media::manifest);
  std::string artifact_type; // of what is no image
  Descriptor config;
  std::vector<Descriptor> layers;    // the base first
  std::optional<Descriptor> subject; // what it speaks of: a referrer
  Annotations annotations;
};

struct Index {
  std::string media_type = std::string(media::index);
  std::vector<Descriptor> manifests;
  Annotations annotations;
};

struct HealthCheck {             // Docker's; not in OCI, kept by all tools
  std::vector<std::string> test; // {"CMD-SHELL", "curl …"}
  std::int64_t interval = 0, timeout = 0, start_period = 0, start_interval = 0; // ns; 0: not said
  std::int64_t retries = 0;
  bool operator==(const HealthCheck&) const = default;
};

// What a container of the image is started with.
struct Defaults {
  std::string user, workdir, stop_signal;
  std::vector<std::string> env; // NAME=VALUE
  std::vector<std::string> entrypoint, cmd, shell;
  std::vector<std::string> exposed_ports, volumes; // sorted
  std::map<std::string, std::string, std::less<>> labels;
  std::optional<HealthCheck> health_check;
  bool operator==(const Defaults&) const = default;
};

struct History {
  std::string created; // RFC 3339
  std::string created_by, comment, author;
  bool empty_layer = false;
  bool operator==(const History&) const = default;
};

struct Config {
  Platform platform;
  std::string created; // RFC 3339; may be empty
  std::string author;
  Defaults defaults;
  std::vector<Digest> diff_ids; // of the layers as plain tar
  std::vector<History> history;
};

// Whether a media type is a manifest, or an index, of OCI or Docker.
[[nodiscard]] bool is_manifest(std::string_view media_type) noexcept;
[[nodiscard]] bool is_index(std::string_view media_type) noexcept;
enum class Compression { none, gzip, zstd };
// Of a layer; nullopt for what is no layer that can be read.
[[nodiscard]] std::optional<Compression> layer_compression(std::string_view media_type) noexcept;

// Each throws Error(integrity) that names `what` and the member that is wrong, missing or beyond a
// limit: a digest that is not sha256, a negative size, more than 1024 layers or 4096 manifests, a
// media type other than the one that the text claims. Unknown members are passed over.
[[nodiscard]] Manifest parse_manifest(std::string_view text, std::string_view what);
[[nodiscard]] Index parse_index(std::string_view text, std::string_view what);
[[nodiscard]] Config parse_config(std::string_view text, std::string_view what);

// One line of JSON without spaces, members sorted: the same value gives the same bytes. Docker's
// media types stay what they are.
[[nodiscard]] std::string to_text(const Manifest& manifest);
[[nodiscard]] std::string to_text(const Index& index);
[[nodiscard]] std::string to_text(const Config& config);

} // namespace mlp::image
