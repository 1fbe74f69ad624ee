// Platforms in Go's words, and what media types mean.
#include "core/image/oci.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>

namespace mlp::image {

Platform this_platform() {
  struct Machine {
    std::string_view kernel, architecture, variant;
  };
  static constexpr std::array machines{
      Machine{"x86_64", "amd64", ""},
      Machine{"aarch64", "arm64", ""},
      Machine{"armv7l", "arm", "v7"},
      Machine{"armv6l", "arm", "v6"},
      Machine{"i686", "386", ""},
      Machine{"ppc64le", "ppc64le", ""},
      Machine{"s390x", "s390x", ""},
      Machine{"riscv64", "riscv64", ""},
      Machine{"loongarch64", "loong64", ""},
  };
  struct utsname name {};
  ::uname(&name);
  const std::string_view machine(name.machine);
  const auto* const found = std::find_if(machines.begin(), machines.end(),
                                         [&](const Machine& m) { return m.kernel == machine; });
  if (found == machines.end()) return {.architecture = std::string(machine)};
  return {.architecture = std::string(found->architecture), .variant = std::string(found->variant)};
}

Platform parse_platform(std::string_view text) {
  const std::vector<std::string> parts = split(text, '/');
  const auto is_word = [](const std::string& part) {
    return !part.empty() && part.size() <= 64 && std::ranges::all_of(part, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    });
  };
  if (parts.size() < 2 || parts.size() > 3 || !std::ranges::all_of(parts, is_word))
    throw Error(ErrorKind::usage, fmt::format("'{}' is no platform", printable(text)))
        .with_hint("a platform is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/amd64 "
                   "or linux/arm64/v8");
  return {.os = parts[0],
          .architecture = parts[1],
          .variant = parts.size() == 3 ? parts[2] : std::string()};
}

std::string platform_text(const Platform& platform) {
  const std::string text = platform.os + "/" + platform.architecture;
  return platform.variant.empty() ? text : text + "/" + platform.variant;
}

bool is_manifest(std::string_view media_type) noexcept {
  return media_type == media::manifest || media_type == media::docker_manifest;
}

bool is_index(std::string_view media_type) noexcept {
  return media_type == media::index || media_type == media::docker_index;
}

std::optional<Compression> layer_compression(std::string_view media_type) noexcept {
  struct Layer {
    std::string_view type;
    Compression compression;
  };
  // Those after our own names are what older and other tools write.
  static constexpr std::array layers{
      Layer{media::layer, Compression::none},
      Layer{media::layer_gzip, Compression::gzip},
      Layer{media::layer_zstd, Compression::zstd},
      Layer{media::docker_layer, Compression::none},
      Layer{media::docker_layer_gzip, Compression::gzip},
      Layer{"application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::zstd},
      Layer{"application/vnd.docker.image.rootfs.foreign.diff.tar", Compression::none},
      Layer{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression::gzip},
      Layer{"application/vnd.oci.image.layer.nondistributable.v1.tar", Compression::none},
      Layer{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::gzip},
      Layer{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Compression::zstd},
  };
  for (const Layer& layer : layers)
    if (layer.type == media_type) return layer.compression;
  return std::nullopt;
}

} // namespace mlp::image
