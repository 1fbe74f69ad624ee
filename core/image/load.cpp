// From a name's descriptor to the manifest and the configuration of one platform.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace mlp::image {

Image load_image(const Layout& layout, const Descriptor& manifest, const Platform& platform) {
  Descriptor found = manifest;
  if (is_index(found.media_type)) {
    const std::string what = fmt::format("index '{}'", found.digest.text());
    found = choose_platform(parse_index(layout.read(found.digest), what), platform, what);
  }
  const std::string what = fmt::format("manifest '{}'", found.digest.text());
  if (!is_manifest(found.media_type))
    throw Error(ErrorKind::integrity, fmt::format("{} is of the type '{}', which is no image", what,
                                                  printable(found.media_type)));
  Image out{.descriptor = found,
            .manifest = parse_manifest(layout.read(found.digest), what),
            .config = {}};
  const Descriptor& config = out.manifest.config;
  if (config.media_type != media::config && config.media_type != media::docker_config)
    throw Error(ErrorKind::integrity,
                fmt::format("{} is no image: its configuration is of the type '{}'", what,
                            printable(config.media_type)));
  const std::string config_what = fmt::format("configuration '{}'", config.digest.text());
  out.config = parse_config(layout.read(config.digest), config_what);
  if (out.config.diff_ids.size() != out.manifest.layers.size())
    throw Error(ErrorKind::integrity,
                fmt::format("{} has {} diff_ids for {} layers", config_what,
                            out.config.diff_ids.size(), out.manifest.layers.size()));
  return out;
}

bool satisfies(const Platform& offered, const Platform& wanted) {
  // Docker's rule: a variant that is not asked for may be any; arm64 has long been v8 alone.
  const auto variant = [](const Platform& p) {
    return p.architecture == "arm64" && p.variant == "v8" ? std::string() : p.variant;
  };
  return offered.os == wanted.os && offered.architecture == wanted.architecture &&
         (variant(wanted).empty() || variant(offered) == variant(wanted));
}

Descriptor choose_platform(const Index& index, const Platform& platform, std::string_view what) {
  std::set<std::string> there;
  const Descriptor* unnamed = nullptr;
  const Descriptor* found = nullptr;
  for (const Descriptor& entry : index.manifests) {
    if (!is_manifest(entry.media_type)) continue;
    if (!entry.platform) {
      if (entry.artifact_type.empty()) unnamed = &entry;
      continue;
    }
    if (entry.platform->os != "unknown") there.insert(platform_text(*entry.platform));
    if (!satisfies(*entry.platform, platform)) continue;
    // The plain one before its variants.
    if (found == nullptr || (!found->platform->variant.empty() && entry.platform->variant.empty()))
      found = &entry;
  }
  // A lone manifest need not say what it is for.
  if (found == nullptr && there.empty()) found = unnamed;
  if (found != nullptr) return *found;
  Error error(ErrorKind::not_found,
              fmt::format("{} has no image for '{}'", what, platform_text(platform)));
  if (there.empty()) throw error;
  const std::vector<std::string> names(there.begin(), there.end());
  throw std::move(error).with_hint(
      fmt::format("it has: {}; --platform chooses one", printable(join(names, ", "))));
}

Descriptor descriptor_of(const Layout& layout, const Digest& digest) {
  const std::string text = layout.read(digest);
  const Json json = parse_json(text, digest.text());
  std::string type;
  if (json.is_object() && json.contains("mediaType"))
    type = json_string(json, "mediaType", digest.text());
  else if (json.is_object()) // old documents do not say what they are
    type = json.contains("manifests") ? media::index : media::manifest;
  return {.media_type = type, .digest = digest, .size = text.size()};
}

} // namespace mlp::image
