// Names of images, taken apart by the grammar's own steps: digest behind '@', tag behind the last
// ':', host before the first '/', and the rest a path.
#include "core/image/reference.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace mlp::image {

namespace {

constexpr std::size_t longest_name = 255;
constexpr std::size_t longest_tag = 128;

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_word(char c) {
  return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Words of lower-case letters and digits, joined by '.', '_', '__' or dashes.
bool is_path_component(std::string_view part) {
  std::size_t i = 0;
  while (true) {
    const std::size_t begin = i;
    while (i < part.size() && is_lower_or_digit(part[i]))
      ++i;
    if (i == begin) return false; // begins or ends with a separator, or has two
    if (i == part.size()) return true;
    if (part[i] == '-') {
      while (i < part.size() && part[i] == '-')
        ++i;
    } else if (part.substr(i).starts_with("__")) {
      i += 2;
    } else if (part[i] == '.' || part[i] == '_') {
      ++i;
    } else {
      return false;
    }
  }
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_host(std::string_view host) {
  if (host.starts_with('[')) { // IPv6
    const auto end = host.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    const bool address = std::ranges::all_of(host.substr(1, end - 1), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':';
    });
    const std::string_view rest = host.substr(end + 1);
    return address && (rest.empty() || (rest.starts_with(':') && is_port(rest.substr(1))));
  }
  if (const auto colon = host.find(':'); colon != std::string_view::npos) {
    if (!is_port(host.substr(colon + 1))) return false;
    host = host.substr(0, colon);
  }
  if (host.empty() || host.size() > longest_name) return false;
  return std::ranges::all_of(split(host, '.'), [](const std::string& label) {
    return !label.empty() && label.front() != '-' && label.back() != '-' &&
           std::ranges::all_of(label, [](char c) { return (is_word(c) && c != '_') || c == '-'; });
  });
}

bool is_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= longest_tag && is_word(tag.front()) &&
         std::ranges::all_of(tag, [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

Error wrong(std::string_view text, std::string_view why) {
  return Error(ErrorKind::usage,
               fmt::format("'{}' names no image: {}", printable(text.substr(0, 300)), why));
}

// Whether the part before the first '/' is a host and not the beginning of a path.
bool looks_like_host(std::string_view part) {
  return part == "localhost" || part.find_first_of(".:") != std::string_view::npos ||
         std::ranges::any_of(part, [](char c) { return c >= 'A' && c <= 'Z'; });
}

// What stands in front of the digest and the tag, and these.
struct Parts {
  std::string_view name, tag;
  std::optional<Digest> digest;
};

Parts take_apart(std::string_view text) {
  Parts out{.name = text};
  if (const auto at = out.name.find('@'); at != std::string_view::npos) {
    const std::string_view digest = out.name.substr(at + 1);
    out.digest = parse_digest(digest);
    if (!out.digest || out.digest->text() != digest)
      throw wrong(text, "behind '@' stands 'sha256:' with 64 hexadecimal digits");
    out.name = out.name.substr(0, at);
  }
  const auto colon = out.name.rfind(':');
  if (colon != std::string_view::npos &&
      out.name.find_first_of("/]", colon) == std::string_view::npos) {
    out.tag = out.name.substr(colon + 1);
    out.name = out.name.substr(0, colon);
    if (!is_tag(out.tag))
      throw wrong(text, "a tag has 1 to 128 letters, digits, '_', '.' and '-', and does not begin "
                        "with '.' or '-'");
  }
  return out;
}

void check_path(std::string_view text, std::string_view path) {
  if (!std::ranges::all_of(split(path, '/'), is_path_component))
    throw wrong(text, "the parts of its path are lower-case letters and digits, joined by '.', "
                      "'_' or '-'");
}

} // namespace

std::string Reference::text() const {
  std::string out = name();
  if (!tag.empty()) out += ":" + tag;
  if (digest) out += "@" + digest->text();
  return out;
}

Reference parse_reference(std::string_view text) {
  const Parts parts = take_apart(text);
  Reference out{.tag = std::string(parts.tag), .digest = parts.digest};
  std::string_view path = parts.name;
  const auto slash = path.find('/');
  if (slash != std::string_view::npos && looks_like_host(path.substr(0, slash))) {
    out.host = path.substr(0, slash);
    path = path.substr(slash + 1);
    if (!is_host(out.host)) throw wrong(text, fmt::format("'{}' is no host", printable(out.host)));
    if (out.host == "index.docker.io" || out.host == "registry-1.docker.io") out.host = "docker.io";
  } else {
    out.host = "docker.io";
  }
  check_path(text, path);
  if (slash == std::string_view::npos && path.size() == 64 && is_hex(path))
    throw wrong(text, "64 hexadecimal digits alone would be a digest");
  const bool library = out.host == "docker.io" && path.find('/') == std::string_view::npos;
  out.repository = library ? "library/" + std::string(path) : std::string(path);
  if (out.name().size() > longest_name) throw wrong(text, "it is longer than 255 characters");
  if (out.tag.empty() && !out.digest) out.tag = "latest";
  return out;
}

std::string ImageName::text() const {
  const std::string inside = name.empty() ? std::string() : ":" + name;
  switch (transport) {
  case Transport::registry:
    return "docker://" + name;
  case Transport::layout:
    return "oci:" + path.native() + inside;
  case Transport::oci_archive:
    return "oci-archive:" + path.native() + inside;
  case Transport::docker_archive:
    return "docker-archive:" + path.native() + inside;
  case Transport::name:
    break;
  }
  return name;
}

ImageName parse_image_name(std::string_view text) {
  struct Prefix {
    std::string_view text;
    Transport transport;
  };
  static constexpr std::array prefixes{Prefix{"oci:", Transport::layout},
                                       Prefix{"oci-archive:", Transport::oci_archive},
                                       Prefix{"docker-archive:", Transport::docker_archive}};
  if (text.empty()) throw Error(ErrorKind::usage, "the name of an image is empty");
  if (text.starts_with("docker://"))
    return {.transport = Transport::registry, .name = std::string(text.substr(9))};
  for (const Prefix& prefix : prefixes) {
    if (!text.starts_with(prefix.text)) continue;
    const std::string_view rest = text.substr(prefix.text.size());
    const auto colon = rest.find(':');
    const std::string_view path = rest.substr(0, colon);
    if (path.empty())
      throw Error(ErrorKind::usage, fmt::format("'{}' has no path", printable(text)))
          .with_hint(fmt::format("write {}PATH or {}PATH:NAME", prefix.text, prefix.text));
    return {.transport = prefix.transport,
            .path = fs::path(path),
            .name = colon == std::string_view::npos ? std::string()
                                                    : std::string(rest.substr(colon + 1))};
  }
  if (const auto scheme = text.find("://"); scheme != std::string_view::npos)
    throw Error(ErrorKind::usage, fmt::format("unknown transport '{}' of an image",
                                              printable(text.substr(0, scheme + 3))))
        .with_hint("an image is NAME[:TAG], docker://REFERENCE, oci:FOLDER[:NAME], "
                   "oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME]");
  return {.name = std::string(text)};
}

std::string local_name(std::string_view text) {
  const Parts parts = take_apart(text);
  if (parts.digest) throw wrong(text, "a name that is given ends with a tag, not with a digest");
  const auto slash = parts.name.find('/');
  if (slash != std::string_view::npos && looks_like_host(parts.name.substr(0, slash)))
    return parse_reference(text).text();
  check_path(text, parts.name);
  if (parts.name.size() > longest_name) throw wrong(text, "it is longer than 255 characters");
  return fmt::format("{}:{}", parts.name, parts.tag.empty() ? "latest" : parts.tag);
}

namespace {

std::string_view name_of(const Descriptor& entry) {
  const auto name = entry.annotations.find(ref_name_annotation);
  return name == entry.annotations.end() ? std::string_view() : std::string_view(name->second);
}

NamedImage named(const Descriptor& entry) {
  NamedImage out{.name = std::string(name_of(entry)), .manifest = entry};
  out.manifest.annotations.erase(std::string(ref_name_annotation));
  return out;
}

// Those names under which an image called `text` may be in the index.
std::vector<std::string> candidates(std::string_view text) {
  std::vector<std::string> out{std::string(text)};
  try {
    out.push_back(local_name(text));
    out.push_back(parse_reference(text).text());
  } catch (const Error&) {
    // Other tools call their images anything: then it has just that name.
  }
  return out;
}

std::optional<NamedImage> find_by_digest(const Index& index, std::string_view hex) {
  std::optional<NamedImage> found;
  for (const Descriptor& entry : index.manifests) {
    if (!entry.digest.hex().starts_with(hex)) continue;
    if (found && found->manifest.digest != entry.digest)
      throw Error(ErrorKind::conflict, fmt::format("several images begin with '{}'", hex))
          .with_hint("give more digits of the digest");
    if (!found || found->name.empty()) found = named(entry);
  }
  return found;
}

} // namespace

std::optional<NamedImage> find_image(const Layout& layout, std::string_view text) {
  const Index index = layout.index();
  if (text.empty()) {
    std::optional<NamedImage> only;
    for (const Descriptor& entry : index.manifests) {
      if (!entry.artifact_type.empty() && name_of(entry).empty()) continue; // a referrer
      if (only && only->manifest.digest != entry.digest)
        throw Error(ErrorKind::conflict,
                    fmt::format("'{}' holds several images", layout.folder().native()))
            .with_hint("name one of them behind a colon");
      if (!only) only = named(entry);
    }
    return only;
  }
  for (const std::string& name : candidates(text))
    for (const Descriptor& entry : index.manifests)
      if (name_of(entry) == name) return named(entry);
  if (const auto at = text.find("@sha256:"); at != std::string_view::npos)
    return find_by_digest(index, text.substr(at + 8));
  const std::string_view hex = text.starts_with("sha256:") ? text.substr(7) : text;
  if (hex.size() < 4 || hex.size() > 64 || !is_hex(hex)) return std::nullopt;
  return find_by_digest(index, hex);
}

} // namespace mlp::image
