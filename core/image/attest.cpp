// Both documents follow from the image and its lock alone: a rebuild has the same.
#include "core/image/attest.hpp"

#include "core/base/json.hpp"
#include "core/image/artifact.hpp"
#include "core/image/image_content.hpp"
#include "core/image/packages.hpp"
#include "core/image/provenance.hpp"
#include "core/image/sbom.hpp"

#include <fmt/format.h>

namespace mlp::image {

namespace {

constexpr std::string_view revision_annotation = "org.opencontainers.image.revision";
constexpr std::string_view source_annotation = "org.opencontainers.image.source";

std::string annotation(const BuildRequest& request, std::string_view name) {
  const auto found = request.annotations.find(name);
  return found == request.annotations.end() ? "" : found->second;
}

std::string source_uri(const BuildRequest& request) {
  const std::string source = annotation(request, source_annotation);
  if (source.empty()) return "";
  return fmt::format("git+{}@{}", public_uri(source), annotation(request, revision_annotation));
}

std::map<std::string, std::string> sha256_of(const Digest& digest) {
  return {{"sha256", digest.hex()}};
}

std::vector<Material> materials_of(const BuildRequest& request, const BuildResult& result) {
  std::vector<Material> out;
  for (const auto& [reference, digest] : result.lock.bases)
    out.push_back({"base image", public_uri(reference), sha256_of(digest), {}});
  for (const auto* list : {&result.lock.system_packages, &result.lock.python_packages})
    for (const config::PackageLock& package : *list)
      out.push_back({fmt::format("{} {}", package.name, package.version),
                     public_uri(package.url),
                     sha256_of(package.digest),
                     {}});
  if (const std::string commit = annotation(request, revision_annotation); !commit.empty())
    out.push_back({"project", source_uri(request), {{"gitCommit", commit}}, {}});
  if (!request.spec.dockerfile.empty())
    out.push_back({request.spec.dockerfile,
                   {},
                   sha256_of(sha256(read_file(request.root / request.spec.dockerfile))),
                   {}});
  if (result.image.manifest.layers.size() > result.environment.manifest.layers.size()) {
    const Descriptor& files = result.image.manifest.layers.back();
    out.push_back({"project files", {}, sha256_of(files.digest), files.media_type});
  }
  return out;
}

Json to_json(const std::vector<Package>& packages) {
  Json out = json_array();
  for (const Package& one : packages)
    out.push_back(Json(std::vector<std::string>{
        one.kind == Package::Kind::debian ? "deb" : "python", one.name, one.version,
        one.architecture, one.source, one.maintainer, one.license, one.path, one.purl}));
  return out;
}

// nullopt for a text that is damaged.
std::optional<std::vector<Package>> packages_from(const std::string& text) {
  try {
    std::vector<Package> out;
    for (const Json& row : parse_json(text, "known packages", {.max_bytes = text.size() + 1})) {
      const auto words = row.get<std::vector<std::string>>();
      if (words.size() != 9) return std::nullopt;
      out.push_back({words[0] == "deb" ? Package::Kind::debian : Package::Kind::python, words[1],
                     words[2], words[3], words[4], words[5], words[6], words[7], words[8]});
    }
    return out;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

// The unpacked layers of the environment say what packages there are; the project's files are
// listed themselves. An edit of the project leaves the environment as it is, so the answer is kept.
std::vector<Package> packages_of(Workshop& shop, const BuildResult& result) {
  const std::string key = "packages of " + result.environment.descriptor.digest.hex();
  if (const auto text = shop.cache.find_text(key))
    if (auto known = packages_from(*text)) return std::move(*known);
  MergedTree tree(
      shop.unpacked.ensure(shop.layout, result.environment, shop.progress, shop.runner.stop));
  std::vector<Package> packages = packages_in(package_texts(tree, shop.runner.stop));
  shop.cache.put_text(key, dump_json(to_json(packages)));
  return packages;
}

} // namespace

Json image_parameters(const config::ImageSpec& spec) {
  Json out = json_object();
  const auto put = [&](const char* key, const Json& value) {
    if (!value.empty()) out[key] = value;
  };
  const auto put_map = [&](const char* key, const config::OrderedMap<std::string>& values) {
    Json object = json_object();
    for (const auto& entry : values)
      object[entry.name] = entry.value;
    put(key, object);
  };
  if (!spec.dockerfile.empty()) {
    out["dockerfile"] = spec.dockerfile;
    put_map("build_args", spec.build_args);
    return out;
  }
  out["base"] = base_reference(spec);
  put("system_packages", Json(spec.system_packages));
  if (!spec.python_version.empty()) out["python_version"] = spec.python_version;
  if (!spec.python_requirements.empty()) out["python_requirements"] = spec.python_requirements;
  put("python_packages", Json(spec.python_packages));
  put("run", Json(spec.run));
  put("secrets", Json(spec.secrets)); // names
  put("files", Json(spec.files));
  put_map("env", spec.env);
  if (!spec.workdir.empty()) out["workdir"] = spec.workdir;
  if (!spec.user.empty()) out["user"] = spec.user;
  put("entrypoint", Json(spec.entrypoint));
  put("cmd", Json(spec.cmd));
  put_map("labels", spec.labels);
  return out;
}

void attest(Workshop& shop, const BuildRequest& request, const BuildResult& result,
            const std::string& name, const std::string& version) {
  const Descriptor& subject = result.image.descriptor;
  bool has_sbom = false, has_provenance = false;
  for (const Descriptor& known : shop.layout.referrers(subject.digest)) {
    has_sbom = has_sbom || known.artifact_type == sbom_type;
    has_provenance = has_provenance || known.artifact_type == provenance_type;
  }
  const std::string& created = result.image.config.created;
  if (!has_sbom) {
    SbomInput input{.name = name,
                    .digest = subject.digest,
                    .created = created,
                    .tool_version = version,
                    .packages = packages_of(shop, result),
                    .project = {}};
    const std::size_t layers = result.image.manifest.layers.size();
    if (layers > result.environment.manifest.layers.size())
      input.project =
          SbomProject{.name = name.substr(0, name.rfind(':')),
                      .version = annotation(request, revision_annotation),
                      .uri = source_uri(request),
                      .files = layer_files(shop.layout, result.image.manifest.layers.back(),
                                           result.image.config.diff_ids.back(), shop.runner.stop),
                      .layer = result.image.config.diff_ids.back()};
    attach(shop.layout, subject, sbom_type, spdx_document(input));
  }
  if (!has_provenance) {
    const Json parameters = image_parameters(request.spec);
    const ProvenanceInput input{.name = name.substr(0, name.rfind(':')),
                                .digest = subject.digest,
                                .kind = request.spec.dockerfile.empty()
                                            ? ProvenanceInput::Kind::project
                                            : ProvenanceInput::Kind::dockerfile,
                                .parameters = &parameters,
                                .materials = materials_of(request, result),
                                .builder_version = version,
                                .started = {},
                                .finished = {}};
    attach(shop.layout, subject, provenance_type, provenance_document(input));
  }
}

} // namespace mlp::image
