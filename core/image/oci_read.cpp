// The documents of an image from JSON that anybody may have written. A member that Go's tools leave
// out may also be null, as they write it.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/oci.hpp"

#include <fmt/format.h>

#include <limits>

namespace mlp::image {

namespace {

constexpr std::size_t max_layers = 1024;
constexpr std::size_t max_manifests = 4096;

// A place in a document, for errors: "'x': 'layers[3].digest'".
class Reader {
 public:
  Reader(const Json& json, std::string what, std::string path = {})
      : json_(json), what_(std::move(what)), path_(std::move(path)) {}

  [[noreturn]] void fail(std::string_view key, std::string_view problem) const {
    throw Error(ErrorKind::integrity,
                fmt::format("{}: '{}' {}", what_, printable(path_of(key)), problem));
  }

  // nullptr where it is absent or null.
  [[nodiscard]] const Json* member(std::string_view key) const {
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  [[nodiscard]] std::string string(std::string_view key) const {
    const Json* const value = member(key);
    if (value == nullptr) return {};
    if (!value->is_string()) fail(key, "is no string");
    return value->get<std::string>();
  }

  [[nodiscard]] std::string needed_string(std::string_view key) const {
    std::string value = string(key);
    if (value.empty()) fail(key, "is missing");
    return value;
  }

  [[nodiscard]] std::int64_t integer(std::string_view key) const {
    const Json* const value = member(key);
    if (value == nullptr) return 0;
    if (!value->is_number_integer() ||
        (value->is_number_unsigned() &&
         value->get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()))
      fail(key, "is no whole number");
    return value->get<std::int64_t>();
  }

  [[nodiscard]] std::vector<std::string> strings(std::string_view key,
                                                 std::size_t most = max_document) const {
    std::vector<std::string> out;
    for (const Json& item : list(key, most)) {
      if (!item.is_string()) fail(key, "is no list of strings");
      out.push_back(item.get<std::string>());
    }
    return out;
  }

  // Empty where it is absent.
  [[nodiscard]] const Json& list(std::string_view key, std::size_t most) const {
    static const Json none = json_array();
    const Json* const value = member(key);
    if (value == nullptr) return none;
    if (!value->is_array()) fail(key, "is no list");
    if (value->size() > most)
      fail(key, fmt::format("has {} members; at most {} are read", value->size(), most));
    return *value;
  }

  [[nodiscard]] const Json& object(std::string_view key) const {
    static const Json none = json_object();
    const Json* const value = member(key);
    if (value == nullptr) return none;
    if (!value->is_object()) fail(key, "is no object");
    return *value;
  }

  [[nodiscard]] Annotations texts(std::string_view key) const {
    Annotations out;
    for (const auto& [name, value] : object(key).items()) {
      if (value.is_null()) continue;
      if (!value.is_string()) fail(key, "has a value that is no string");
      out.emplace(name, value.get<std::string>());
    }
    return out;
  }

  // The names of an object that serves as a set.
  [[nodiscard]] std::vector<std::string> names(std::string_view key) const {
    std::vector<std::string> out;
    for (const auto& [name, value] : object(key).items())
      out.push_back(name);
    return out;
  }

  [[nodiscard]] Reader inside(std::string_view key) const {
    return {object(key), what_, path_of(key)};
  }
  [[nodiscard]] Reader item(const Json& item, std::string_view key, std::size_t number) const {
    const std::string name = fmt::format("{}[{}]", key, number);
    if (!item.is_object()) fail(name, "is no object");
    return {item, what_, path_of(name)};
  }

  [[nodiscard]] Digest digest(std::string_view key, const std::string& text) const {
    const std::optional<Digest> digest = parse_digest(text);
    // Registries and files are asked for the text, so there is one text of a digest.
    if (!digest || digest->text() != text) {
      if (text.starts_with("sha512:"))
        fail(key, "is a SHA-512 digest; only SHA-256 ones are known here");
      fail(key, "is no digest 'sha256:' and 64 hexadecimal digits");
    }
    return *digest;
  }

  [[nodiscard]] Platform platform() const {
    return {.os = needed_string("os"),
            .architecture = needed_string("architecture"),
            .variant = string("variant")};
  }

  [[nodiscard]] Descriptor descriptor() const {
    Descriptor out;
    out.media_type = needed_string("mediaType");
    out.digest = digest("digest", needed_string("digest"));
    if (member("size") == nullptr) fail("size", "is missing");
    const std::int64_t size = integer("size");
    if (size < 0) fail("size", "is negative");
    out.size = static_cast<std::uint64_t>(size);
    out.annotations = texts("annotations");
    if (member("platform") != nullptr) out.platform = inside("platform").platform();
    out.artifact_type = string("artifactType");
    return out;
  }

  [[nodiscard]] std::vector<Descriptor> descriptors(std::string_view key, std::size_t most) const {
    std::vector<Descriptor> out;
    for (const Json& member : list(key, most))
      out.push_back(item(member, key, out.size()).descriptor());
    return out;
  }

 private:
  [[nodiscard]] std::string path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

  const Json& json_;
  std::string what_, path_;
};

Json parse(std::string_view text, std::string_view what) {
  try {
    Json json = parse_json(text, what, {.max_bytes = max_document});
    if (json.is_object()) return json;
  } catch (const Error& error) {
    throw Error(ErrorKind::integrity, error.message());
  }
  throw Error(ErrorKind::integrity, fmt::format("{}: is no JSON object", what));
}

// A document that could be read as another kind would be two images with one digest
// (CVE-2021-41190).
std::string media_type(const Reader& reader, bool (*is_right)(std::string_view) noexcept,
                       std::string_view ours, std::initializer_list<std::string_view> foreign) {
  if (reader.integer("schemaVersion") != 2) reader.fail("schemaVersion", "is not 2");
  std::string type = reader.string("mediaType");
  if (type.empty()) type = ours;
  if (!is_right(type)) reader.fail("mediaType", fmt::format("is '{}'", printable(type)));
  for (const std::string_view key : foreign)
    if (reader.member(key) != nullptr)
      reader.fail(key, fmt::format("has no place in a document of type '{}'", type));
  return type;
}

std::optional<HealthCheck> read_health_check(const Reader& config) {
  if (config.member("Healthcheck") == nullptr) return std::nullopt;
  const Reader check = config.inside("Healthcheck");
  return HealthCheck{.test = check.strings("Test"),
                     .interval = check.integer("Interval"),
                     .timeout = check.integer("Timeout"),
                     .start_period = check.integer("StartPeriod"),
                     .start_interval = check.integer("StartInterval"),
                     .retries = check.integer("Retries")};
}

Defaults read_defaults(const Reader& config) {
  Defaults out;
  out.user = config.string("User");
  out.workdir = config.string("WorkingDir");
  out.stop_signal = config.string("StopSignal");
  out.env = config.strings("Env");
  out.entrypoint = config.strings("Entrypoint");
  out.cmd = config.strings("Cmd");
  out.shell = config.strings("Shell");
  out.exposed_ports = config.names("ExposedPorts");
  out.volumes = config.names("Volumes");
  out.labels = config.texts("Labels");
  out.health_check = read_health_check(config);
  return out;
}

} // namespace

Manifest parse_manifest(std::string_view text, std::string_view what) {
  const Json json = parse(text, what);
  const Reader reader(json, std::string(what));
  Manifest out;
  out.media_type = media_type(reader, is_manifest, media::manifest, {"manifests", "fsLayers"});
  out.artifact_type = reader.string("artifactType");
  if (reader.member("config") == nullptr) reader.fail("config", "is missing");
  out.config = reader.inside("config").descriptor();
  out.layers = reader.descriptors("layers", max_layers);
  if (reader.member("subject") != nullptr) out.subject = reader.inside("subject").descriptor();
  out.annotations = reader.texts("annotations");
  return out;
}

Index parse_index(std::string_view text, std::string_view what) {
  const Json json = parse(text, what);
  const Reader reader(json, std::string(what));
  Index out;
  out.media_type = media_type(reader, is_index, media::index, {"config", "layers", "fsLayers"});
  out.manifests = reader.descriptors("manifests", max_manifests);
  out.annotations = reader.texts("annotations");
  return out;
}

Config parse_config(std::string_view text, std::string_view what) {
  const Json json = parse(text, what);
  const Reader reader(json, std::string(what));
  Config out;
  out.platform = reader.platform();
  out.created = reader.string("created");
  out.author = reader.string("author");
  out.defaults = read_defaults(reader.inside("config"));
  if (reader.member("rootfs") == nullptr) reader.fail("rootfs", "is missing");
  const Reader rootfs = reader.inside("rootfs");
  if (rootfs.string("type") != "layers") rootfs.fail("type", "is not 'layers'");
  for (const std::string& digest : rootfs.strings("diff_ids", max_layers))
    out.diff_ids.push_back(rootfs.digest("diff_ids", digest));
  for (const Json& step : reader.list("history", 4 * max_layers)) {
    const Reader item = reader.item(step, "history", out.history.size());
    History entry{.created = item.string("created"),
                  .created_by = item.string("created_by"),
                  .comment = item.string("comment"),
                  .author = item.string("author")};
    if (const Json* const empty = item.member("empty_layer")) {
      if (!empty->is_boolean()) item.fail("empty_layer", "is neither true nor false");
      entry.empty_layer = empty->get<bool>();
    }
    out.history.push_back(std::move(entry));
  }
  return out;
}

} // namespace mlp::image
