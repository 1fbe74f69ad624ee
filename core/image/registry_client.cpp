// Documents of a registry. Blobs are in registry_blobs.cpp.
#include "core/image/registry_client.hpp"

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::image {

namespace {

constexpr std::size_t most_tags = 10'000;

std::string accepted() {
  return fmt::format("{}, {}, {}, {}", media::manifest, media::index, media::docker_manifest,
                     media::docker_index);
}

// What a document says that it is, else what the registry says.
std::string type_of(const net::HttpResponse& response, const std::string& what) {
  const Json json = [&] {
    try {
      return parse_json(response.body, what, {.max_bytes = max_document});
    } catch (const Error& error) {
      throw Error(ErrorKind::integrity, error.message());
    }
  }();
  if (!json.is_object()) throw Error(ErrorKind::integrity, fmt::format("{}: no JSON object", what));
  if (const auto type = json.find("mediaType"); type != json.end() && type->is_string())
    return type->get<std::string>();
  const std::string* const header = response.header("content-type");
  if (header != nullptr && is_index(trim(header->substr(0, header->find(';')))))
    return std::string(media::index);
  return std::string(json.contains("manifests") ? media::index : media::manifest);
}

// The path of the next page: <...>; rel="next" (RFC 8288).
std::optional<std::string> next_page(const net::HttpResponse& response) {
  const std::string* const link = response.header("link");
  if (link == nullptr || link->find("rel=\"next\"") == std::string::npos) return std::nullopt;
  const auto begin = link->find('<'), end = link->find('>');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return std::nullopt;
  return link->substr(begin + 1, end - begin - 1);
}

std::string fallback_tag(const Digest& subject) {
  return "sha256-" + subject.hex();
}

} // namespace

Registry::Registry(const std::string& host, RegistryOptions options)
    : http_(host, std::move(options)) {}

std::string Registry::url(const Scope& scope, std::string_view rest) {
  return fmt::format("{}/v2/{}/{}", http_.base(), scope.repository, rest);
}

std::optional<Document> Registry::manifest(const Scope& scope, const std::string& selector) {
  const std::string name = fmt::format("{}/{}", host(), scope.repository);
  const net::HttpResponse response = http_.send({.url = url(scope, "manifests/" + selector),
                                                 .headers = {{"Accept", accepted()}},
                                                 .max_body = max_document},
                                                scope);
  if (response.status == 404) return std::nullopt;
  if (!response.ok())
    throw http_.error(response, fmt::format("cannot read '{}' of '{}'", selector, name));
  Document out{.descriptor = {}, .text = response.body};
  out.descriptor.digest = sha256(out.text);
  out.descriptor.size = out.text.size();
  const std::string what = fmt::format("manifest '{}' of '{}'", selector, name);
  const std::string* const claimed = response.header("docker-content-digest");
  const std::string expected =
      selector.starts_with("sha256:") ? selector : (claimed != nullptr ? *claimed : "");
  if (expected.starts_with("sha256:") && expected != out.descriptor.digest.text())
    throw Error(ErrorKind::integrity,
                fmt::format("{} has the digest {} instead of {}", what,
                            out.descriptor.digest.text(), printable(expected)));
  out.descriptor.media_type = type_of(response, what);
  // All of it is judged before anything is done with it.
  if (is_index(out.descriptor.media_type))
    (void)parse_index(out.text, what);
  else
    (void)parse_manifest(out.text, what);
  return out;
}

std::optional<Digest> Registry::manifest_digest(const Scope& scope, const std::string& selector) {
  const net::HttpResponse response = http_.send({.method = "HEAD",
                                                 .url = url(scope, "manifests/" + selector),
                                                 .headers = {{"Accept", accepted()}}},
                                                scope);
  if (response.status == 404) return std::nullopt;
  if (!response.ok())
    throw http_.error(
        response, fmt::format("cannot read '{}' of '{}/{}'", selector, host(), scope.repository));
  const std::string* const digest = response.header("docker-content-digest");
  if (const auto found = digest != nullptr ? parse_digest(*digest) : std::nullopt) return found;
  const auto whole = manifest(scope, selector); // the header is optional
  if (!whole) return std::nullopt;
  return whole->descriptor.digest;
}

bool Registry::put_manifest(const Scope& scope, const std::string& selector,
                            const Document& document) {
  const net::HttpResponse response =
      http_.send({.method = "PUT",
                  .url = url(scope, "manifests/" + selector),
                  .headers = {{"Content-Type", document.descriptor.media_type}},
                  .body = net::HttpBody::of(std::as_bytes(std::span(document.text)))},
                 scope);
  if (!response.ok()) {
    const std::string code = registry_error_code(response);
    if (code == "MANIFEST_BLOB_UNKNOWN" || code == "MANIFEST_UNKNOWN" || code == "BLOB_UNKNOWN")
      return false;
    throw http_.error(
        response, fmt::format("cannot write '{}' to '{}/{}'", selector, host(), scope.repository));
  }
  const std::string* const digest = response.header("docker-content-digest");
  if (digest != nullptr && digest->starts_with("sha256:") &&
      *digest != document.descriptor.digest.text())
    throw Error(ErrorKind::integrity,
                fmt::format("'{}' has taken '{}' for {} instead of {}", host(), selector,
                            printable(*digest), document.descriptor.digest.text()));
  if (!is_manifest(document.descriptor.media_type) || response.header("oci-subject") != nullptr)
    return true;
  const Manifest manifest = parse_manifest(document.text, "manifest");
  if (manifest.subject) {
    Descriptor entry = document.descriptor;
    entry.artifact_type =
        manifest.artifact_type.empty() ? manifest.config.media_type : manifest.artifact_type;
    entry.annotations = manifest.annotations;
    add_to_fallback(scope, manifest.subject->digest, entry);
  }
  return true;
}

// The specification's scheme for registries without the referrers API: an index under a tag that is
// made of the subject's digest.
void Registry::add_to_fallback(const Scope& scope, const Digest& subject,
                               const Descriptor& referrer) {
  const std::string tag = fallback_tag(subject);
  Index index;
  if (const auto known = manifest(scope, tag); known && is_index(known->descriptor.media_type))
    index = parse_index(known->text, tag);
  const bool there = std::ranges::any_of(
      index.manifests, [&](const Descriptor& entry) { return entry.digest == referrer.digest; });
  if (there) return;
  index.manifests.push_back(referrer);
  Document document{.descriptor = {.media_type = index.media_type}, .text = to_text(index)};
  document.descriptor.digest = sha256(document.text);
  document.descriptor.size = document.text.size();
  if (!put_manifest(scope, tag, document))
    throw Error(ErrorKind::failed, fmt::format("'{}' does not take the list of referrers '{}': a "
                                               "manifest in it is gone",
                                               host(), tag));
}

std::vector<Descriptor> Registry::referrers(const Scope& scope, const Digest& subject) {
  const net::HttpResponse response = http_.send(
      {.url = url(scope, "referrers/" + subject.text()), .max_body = max_document}, scope);
  const std::string* const type = response.header("content-type");
  if (response.ok() && type != nullptr && type->starts_with(media::index))
    return parse_index(response.body, "the list of referrers").manifests;
  const auto listed = manifest(scope, fallback_tag(subject));
  if (!listed || !is_index(listed->descriptor.media_type)) return {};
  return parse_index(listed->text, "the list of referrers").manifests;
}

std::vector<std::string> Registry::tags(const Scope& scope) {
  const std::string what = fmt::format("the tags of '{}/{}'", host(), scope.repository);
  std::vector<std::string> out;
  std::string next = url(scope, "tags/list?n=1000");
  while (out.size() < most_tags) {
    const net::HttpResponse response = http_.send({.url = next, .max_body = max_document}, scope);
    if (!response.ok()) throw http_.error(response, fmt::format("cannot list {}", what));
    const Json json = parse_json(response.body, what);
    const std::size_t before = out.size();
    if (const auto tags = json.find("tags"); tags != json.end() && tags->is_array())
      for (const Json& tag : *tags)
        if (tag.is_string()) out.push_back(tag.get<std::string>());
    const auto page = next_page(response);
    if (!page || out.size() == before) break;
    const std::string from = std::exchange(next, {});
    next = http_.resolve(from, *page);
  }
  return out;
}

} // namespace mlp::image
