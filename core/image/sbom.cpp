// Packages and relationships are made in sorted order; identifiers come from what they name.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/image/sbom.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/layer_reader.hpp"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <set>

namespace mlp::image {

namespace {

constexpr std::string_view document_id = "SPDXRef-DOCUMENT";
constexpr std::string_view image_id = "SPDXRef-Image";
constexpr std::string_view project_id = "SPDXRef-Project";
constexpr const char* unknown = "NOASSERTION";

// SHA-1, as the specification asks for it: it names a file, and protects nothing.
class Sha1 {
 public:
  Sha1() { SHA1_Init(&context_); }
  void update(const void* data, std::size_t size) { SHA1_Update(&context_, data, size); }
  std::string hex() {
    std::array<unsigned char, SHA_DIGEST_LENGTH> bytes{};
    SHA1_Final(bytes.data(), &context_);
    std::string out;
    for (const unsigned char byte : bytes)
      out += fmt::format("{:02x}", byte);
    return out;
  }

 private:
  SHA_CTX context_{};
};

// "SPDXRef-Package-deb-libc6-0123456789ab": readable, and unique by the digest.
std::string id_of(std::string_view kind, std::string_view name, std::string_view unique) {
  std::string part(name.substr(0, 64));
  for (char& c : part) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-';
    if (!plain) c = '-';
  }
  return fmt::format("SPDXRef-{}-{}-{}", kind, part, sha256(unique).short_hex());
}

Json checksum(std::string_view algorithm, std::string_view value) {
  return json_object({{"algorithm", algorithm}, {"checksumValue", value}});
}

// "Name <mail>" as the specification writes it: "Name (mail)".
std::string with_mail(std::string text) {
  const std::size_t open = text.rfind(" <");
  if (open == std::string::npos || !text.ends_with('>')) return text;
  text[open + 1] = '(';
  text.back() = ')';
  return text;
}

Json purl_reference(std::string_view purl) {
  Json all = json_array();
  all.push_back(json_object({{"referenceCategory", "PACKAGE-MANAGER"},
                             {"referenceType", "purl"},
                             {"referenceLocator", purl}}));
  return all;
}

Json relationship(std::string_view from, std::string_view type, std::string_view to) {
  return json_object(
      {{"spdxElementId", from}, {"relationshipType", type}, {"relatedSpdxElement", to}});
}

// What every package has to have.
Json bare_package(std::string_view id, std::string_view name) {
  return json_object({{"SPDXID", id},
                      {"name", name},
                      {"downloadLocation", unknown},
                      {"filesAnalyzed", false},
                      {"licenseConcluded", unknown},
                      {"licenseDeclared", unknown},
                      {"copyrightText", unknown}});
}

Json image_package(const SbomInput& input) {
  Json package = bare_package(image_id, input.name);
  package["versionInfo"] = input.digest.text();
  package["primaryPackagePurpose"] = "CONTAINER";
  package["checksums"] = json_array();
  package["checksums"].push_back(checksum("SHA256", input.digest.hex()));
  // Its name is the last component of the repository, without a tag.
  std::string name = input.name.substr(input.name.rfind('/') + 1);
  name.resize(std::min(name.size(), name.find_first_of(":@")));
  package["externalRefs"] =
      purl_reference(fmt::format("pkg:oci/{}@sha256:{}", purl_encoded(name), input.digest.hex()));
  return package;
}

Json package_of(const Package& package, std::string_view id) {
  Json out = bare_package(id, package.name);
  const bool debian = package.kind == Package::Kind::debian;
  out["versionInfo"] = package.version;
  if (!package.maintainer.empty() && debian)
    out["supplier"] = "Organization: " + with_mail(package.maintainer);
  out["externalRefs"] = purl_reference(package.purl);
  out["sourceInfo"] = package.source.empty()
                          ? fmt::format("from /{}", package.path)
                          : fmt::format("from /{}; built from {}", package.path, package.source);
  if (const auto license = spdx_license(package.license))
    out["licenseDeclared"] = *license;
  else if (!package.license.empty())
    out["licenseComments"] = "declared as: " + package.license;
  return out;
}

Json project_package(const SbomProject& project) {
  Json out = bare_package(project_id, project.name);
  if (!project.version.empty()) out["versionInfo"] = project.version;
  if (!project.uri.empty()) out["downloadLocation"] = project.uri;
  out["primaryPackagePurpose"] = "APPLICATION";
  out["checksums"] = json_array();
  out["checksums"].push_back(checksum("SHA256", project.layer.hex()));
  if (project.files.empty() || project.files.size() > max_sbom_files) return out;
  // Section 7.9: the digest of the files' digests, sorted and joined.
  std::vector<std::string> digests;
  for (const SbomFile& file : project.files)
    digests.push_back(file.sha1);
  std::sort(digests.begin(), digests.end());
  Sha1 all;
  for (const std::string& digest : digests)
    all.update(digest.data(), digest.size());
  out["filesAnalyzed"] = true;
  out["packageVerificationCode"] = json_object({{"packageVerificationCodeValue", all.hex()}});
  return out;
}

} // namespace

std::string spdx_document(const SbomInput& input) {
  Json packages = json_array(), relationships = json_array();
  packages.push_back(image_package(input));
  relationships.push_back(relationship(document_id, "DESCRIBES", image_id));
  std::set<std::string> ids;
  for (const Package& package : input.packages) {
    const bool debian = package.kind == Package::Kind::debian;
    const std::string id =
        id_of(debian ? "Package-deb" : "Package-pypi", package.name, package.purl);
    if (!ids.insert(id).second) continue;
    packages.push_back(package_of(package, id));
    relationships.push_back(relationship(image_id, "CONTAINS", id));
  }
  Json document = json_object(
      {{"spdxVersion", "SPDX-2.3"},
       {"dataLicense", "CC0-1.0"},
       {"SPDXID", document_id},
       {"name", input.name},
       {"documentNamespace", fmt::format("https://spdx.org/spdxdocs/{}-{}",
                                         purl_encoded(input.name), input.digest.hex())},
       {"creationInfo",
        json_object({{"created", input.created},
                     {"creators", std::vector<std::string>{"Tool: mlp-" + input.tool_version}}})}});
  if (input.project) {
    packages.push_back(project_package(*input.project));
    relationships.push_back(relationship(image_id, "CONTAINS", project_id));
    const std::vector<SbomFile>& files = input.project->files;
    if (!files.empty() && files.size() <= max_sbom_files) {
      Json listed = json_array();
      for (const SbomFile& file : files) {
        const std::string id = id_of("File", file.path.substr(file.path.rfind('/') + 1), file.path);
        if (!ids.insert(id).second) continue;
        Json one = json_object({{"SPDXID", id}, {"fileName", "./" + file.path}});
        one["checksums"] = json_array();
        one["checksums"].push_back(checksum("SHA1", file.sha1));
        one["checksums"].push_back(checksum("SHA256", file.sha256.hex()));
        listed.push_back(std::move(one));
        relationships.push_back(relationship(project_id, "CONTAINS", id));
      }
      document["files"] = std::move(listed);
    }
  }
  document["packages"] = std::move(packages);
  document["relationships"] = std::move(relationships);
  return dump_json(document);
}

std::vector<SbomFile> layer_files(const Layout& layout, const Descriptor& layer,
                                  const Digest& diff_id, const std::stop_token& stop) {
  LayerReader reader(layout, layer, diff_id);
  std::vector<SbomFile> files;
  std::vector<std::byte> buffer(256u << 10);
  while (const auto entry = reader.tar().next()) {
    throw_if_stopped(stop);
    if (entry->kind != TarEntry::Kind::file) continue;
    if (entry->path.substr(entry->path.rfind('/') + 1).starts_with(".wh.")) continue;
    Sha1 sha1;
    Sha256 sha256;
    while (const std::size_t n = reader.tar().read(buffer)) {
      throw_if_stopped(stop);
      sha1.update(buffer.data(), n);
      sha256.update(std::span(buffer).first(n));
    }
    // One beyond the limit says that there are more.
    if (files.size() <= max_sbom_files) files.push_back({entry->path, sha256.finish(), sha1.hex()});
  }
  reader.finish();
  std::sort(files.begin(), files.end(),
            [](const SbomFile& a, const SbomFile& b) { return a.path < b.path; });
  return files;
}

std::optional<std::string> spdx_license(std::string_view declared) {
  using Name = std::pair<std::string_view, std::string_view>;
  static constexpr std::array<Name, 36> names = {
      Name{"apache 2.0", "Apache-2.0"},
      {"apache license 2.0", "Apache-2.0"},
      {"apache license, version 2.0", "Apache-2.0"},
      {"apache software license 2.0", "Apache-2.0"},
      {"apache-2.0", "Apache-2.0"},
      {"bsd 3-clause", "BSD-3-Clause"},
      {"bsd-2-clause", "BSD-2-Clause"},
      {"bsd-3-clause", "BSD-3-Clause"},
      {"3-clause bsd license", "BSD-3-Clause"},
      {"new bsd", "BSD-3-Clause"},
      {"0bsd", "0BSD"},
      {"cc0-1.0", "CC0-1.0"},
      {"gpl-2.0-only", "GPL-2.0-only"},
      {"gpl-2.0-or-later", "GPL-2.0-or-later"},
      {"gpl-3.0-only", "GPL-3.0-only"},
      {"gpl-3.0-or-later", "GPL-3.0-or-later"},
      {"hpnd", "HPND"},
      {"isc", "ISC"},
      {"isc license", "ISC"},
      {"isc license (iscl)", "ISC"},
      {"lgpl-2.1-or-later", "LGPL-2.1-or-later"},
      {"lgpl-3.0-or-later", "LGPL-3.0-or-later"},
      {"mit", "MIT"},
      {"mit license", "MIT"},
      {"the mit license", "MIT"},
      {"mit-0", "MIT-0"},
      {"mit-cmu", "MIT-CMU"},
      {"mozilla public license 2.0 (mpl 2.0)", "MPL-2.0"},
      {"mpl 2.0", "MPL-2.0"},
      {"mpl-2.0", "MPL-2.0"},
      {"psf-2.0", "PSF-2.0"},
      {"python-2.0", "Python-2.0"},
      {"the unlicense (unlicense)", "Unlicense"},
      {"unlicense", "Unlicense"},
      {"zlib", "Zlib"},
      {"zpl-2.1", "ZPL-2.1"}};
  const auto one = [&](std::string_view text) -> std::optional<std::string_view> {
    std::string wanted(trim(text));
    for (char& c : wanted)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const auto found = std::find_if(names.begin(), names.end(),
                                    [&](const Name& name) { return name.first == wanted; });
    return found == names.end() ? std::nullopt : std::optional(found->second);
  };
  if (const auto known = one(declared)) return std::string(*known);
  // Known ones joined by AND or OR alone.
  std::string out;
  std::string_view rest = declared;
  while (true) {
    const std::size_t both = rest.find(" AND "), either = rest.find(" OR ");
    const std::size_t end = std::min(both, either);
    const auto part = one(rest.substr(0, end));
    if (!part) return std::nullopt;
    out += *part;
    if (end == std::string_view::npos) return out;
    out += both < either ? " AND " : " OR ";
    rest.remove_prefix(end + (both < either ? 5 : 4));
  }
}

} // namespace mlp::image
