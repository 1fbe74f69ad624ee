// The statement is built member by member as the specification lists them.
#include "core/image/provenance.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace mlp::image {

namespace {

Json digests_of(const Material& material) {
  Json digests = json_object();
  for (const auto& [algorithm, value] : material.digests)
    digests[algorithm] = value;
  return digests;
}

Json materials_of(std::vector<Material> materials) {
  const auto key = [](const Material& m) {
    return std::tie(m.uri, m.name, m.digests, m.media_type);
  };
  std::sort(materials.begin(), materials.end(),
            [&](const Material& a, const Material& b) { return key(a) < key(b); });
  materials.erase(std::unique(materials.begin(), materials.end()), materials.end());
  Json all = json_array();
  for (const Material& material : materials) {
    if (material.digests.empty())
      throw Error(ErrorKind::failed,
                  fmt::format("'{}' goes into the image, and its digest is not known",
                              material.name.empty() ? material.uri : material.name));
    Json one = json_object({{"digest", digests_of(material)}});
    if (!material.name.empty()) one["name"] = material.name;
    if (!material.uri.empty()) one["uri"] = public_uri(material.uri);
    if (!material.media_type.empty()) one["mediaType"] = material.media_type;
    all.push_back(std::move(one));
  }
  return all;
}

} // namespace

std::string_view build_type(ProvenanceInput::Kind kind) noexcept {
  return kind == ProvenanceInput::Kind::dockerfile ? "urn:mlp:build:dockerfile:v1"
                                                   : "urn:mlp:build:project:v1";
}

std::string public_uri(std::string_view uri) {
  uri = uri.substr(0, uri.find_first_of("?#"));
  const std::size_t scheme = uri.find("://");
  if (scheme == std::string_view::npos) return std::string(uri);
  const std::size_t host = scheme + 3;
  const std::size_t path = std::min(uri.find('/', host), uri.size());
  const std::size_t at = uri.substr(0, path).rfind('@');
  if (at == std::string_view::npos || at < host) return std::string(uri);
  return std::string(uri.substr(0, host)) + std::string(uri.substr(at + 1));
}

std::string provenance_document(const ProvenanceInput& input) {
  Json subjects = json_array();
  subjects.push_back(json_object(
      {{"name", input.name}, {"digest", json_object({{"sha256", input.digest.hex()}})}}));
  Json run = json_object(
      {{"builder", json_object({{"id", "urn:mlp:builder"},
                                {"version", json_object({{"mlp", input.builder_version}})}})}});
  Json metadata = json_object();
  if (input.started) metadata["startedOn"] = *input.started;
  if (input.finished) metadata["finishedOn"] = *input.finished;
  if (!metadata.empty()) run["metadata"] = std::move(metadata);
  return dump_json(json_object(
      {{"_type", "https://in-toto.io/Statement/v1"},
       {"subject", std::move(subjects)},
       {"predicateType", "https://slsa.dev/provenance/v1"},
       {"predicate",
        json_object(
            {{"buildDefinition",
              json_object({{"buildType", build_type(input.kind)},
                           {"externalParameters",
                            input.parameters != nullptr ? *input.parameters : json_object()},
                           {"resolvedDependencies", materials_of(input.materials)}})},
             {"runDetails", std::move(run)}})}}));
}

} // namespace mlp::image
