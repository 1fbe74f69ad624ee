// JSON of a descriptor, a diff_id and a size.
#include "core/image/layer_cache.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace mlp::image {

namespace {
constexpr std::uint64_t most_bytes = 64u << 10;
constexpr std::uint64_t most_text = 64u << 20;
} // namespace

fs::path LayerCache::path_of(std::string_view key) const {
  return folder_ / sha256(key).hex();
}

std::optional<LayerCache::Known> LayerCache::find(std::string_view key) const {
  if (use_ != Use::full) return std::nullopt;
  const fs::path path = path_of(key);
  const auto text = read_file_if_exists(path, most_bytes);
  if (!text) return std::nullopt;
  try {
    const Json json = parse_json(*text, path.native());
    if (json.contains("empty")) return Known{};
    const auto digest = parse_digest(json_string(json, "digest", path.native()));
    const auto diff_id = parse_digest(json_string(json, "diff_id", path.native()));
    const long long size = json_int(json, "size", path.native());
    const long long bytes = json_int(json, "bytes", path.native());
    if (!digest || !diff_id || size < 0 || bytes < 0 || !layout_.has(*digest)) return std::nullopt;
    Layer layer{{.media_type = std::string(media::layer_gzip),
                 .digest = *digest,
                 .size = static_cast<std::uint64_t>(size)},
                *diff_id,
                static_cast<std::uint64_t>(bytes)};
    return Known{std::move(layer)};
  } catch (const Error&) { // damaged: the step is done again
    return std::nullopt;
  }
}

std::optional<std::string> LayerCache::find_text(std::string_view key) const {
  if (use_ != Use::full) return std::nullopt;
  return read_file_if_exists(path_of(key), most_text);
}

void LayerCache::put_text(std::string_view key, std::string_view text) {
  if (use_ == Use::off || text.size() > most_text) return;
  make_directories(folder_);
  write_file_atomic(path_of(key), text);
}

void LayerCache::put(std::string_view key, const std::optional<Layer>& layer) {
  const Json json = layer ? json_object({{"digest", layer->descriptor.digest.text()},
                                         {"diff_id", layer->diff_id.text()},
                                         {"size", layer->descriptor.size},
                                         {"bytes", layer->bytes}})
                          : json_object({{"empty", true}});
  put_text(key, dump_json(json));
}

} // namespace mlp::image
