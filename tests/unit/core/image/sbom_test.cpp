// What is in an image: packages from what installers wrote down, the SPDX document, provenance,
// and artifacts beside an image.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/image/artifact.hpp"
#include "core/image/provenance.hpp"
#include "core/image/sbom.hpp"
#include "tests/unit/core/image/image_maker.hpp"

#include <catch2/catch.hpp>

#include <regex>
#include <set>

using namespace mlp;
using namespace mlp::image;

namespace {

using Texts = std::map<std::string, std::string, std::less<>>;
using Kind = Package::Kind;

// The rules of the specification for what we write: members that must be there, the form of
// identifiers, and that every relationship joins two elements of the document.
void check_spdx(const Json& document) {
  for (const char* name : {"spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace"})
    CHECK(document.at(name).is_string());
  CHECK(document.at("spdxVersion") == "SPDX-2.3");
  CHECK(document.at("dataLicense") == "CC0-1.0");
  CHECK(document.at("documentNamespace").get<std::string>().find('#') == std::string::npos);
  const std::regex time("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ");
  CHECK(std::regex_match(document.at("creationInfo").at("created").get<std::string>(), time));
  CHECK(!document.at("creationInfo").at("creators").empty());
  const std::regex id("SPDXRef-[A-Za-z0-9.-]+");
  std::set<std::string> ids = {"SPDXRef-DOCUMENT"};
  const auto take = [&](const Json& element) {
    const auto name = element.at("SPDXID").get<std::string>();
    CHECK(std::regex_match(name, id));
    CHECK(ids.insert(name).second);
  };
  for (const Json& package : document.at("packages")) {
    take(package);
    CHECK(package.at("name").is_string());
    CHECK(package.at("downloadLocation").is_string());
    CHECK(package.contains("packageVerificationCode") == package.at("filesAnalyzed"));
    for (const Json& reference : package.value("externalRefs", json_array()))
      CHECK(reference.at("referenceLocator").get<std::string>().starts_with("pkg:"));
  }
  for (const Json& file : document.value("files", json_array())) {
    take(file);
    CHECK(file.at("fileName").get<std::string>().starts_with("./"));
    CHECK(file.at("checksums").at(0).at("algorithm") == "SHA1");
  }
  for (const Json& relationship : document.at("relationships")) {
    CHECK(ids.contains(relationship.at("spdxElementId")));
    CHECK(ids.contains(relationship.at("relatedSpdxElement")));
  }
}

} // namespace

TEST_CASE("dpkg's list names what is installed", "[image]") {
  const std::string list = "Package: libc6\n"
                           "Status: install ok installed\n"
                           "Maintainer: GNU Libc Maintainers <x@debian.org>\n"
                           "Architecture: amd64\n"
                           "Source: glibc\n"
                           "Version: 2.36-9+deb12u4\n"
                           "Description: C library\n"
                           " Package: not-this\n"
                           "\n"
                           "Package: gone\n"
                           "Status: deinstall ok config-files\n"
                           "Version: 1\n"
                           "\n"
                           "Package: libstdc++6\r\n"
                           "Status: hold ok installed\r\n"
                           "Architecture: amd64\r\n"
                           "Source: gcc-12 (12.2.0-14)\r\n"
                           "Version: 1:12.2\r\n"
                           "no field\n";
  const auto packages =
      packages_in({{"var/lib/dpkg/status", list},
                   {"var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\n"},
                   {"var/lib/dpkg/status.d/tzdata.md5sums", "Package: no\nVersion: 1\n"},
                   {"usr/lib/os-release", "NAME=x\nID=\"ubuntu\"\n"}});
  REQUIRE(packages.size() == 3);
  CHECK(packages[0] == Package{.name = "libc6",
                               .version = "2.36-9+deb12u4",
                               .architecture = "amd64",
                               .source = "glibc 2.36-9+deb12u4",
                               .maintainer = "GNU Libc Maintainers <x@debian.org>",
                               .path = "var/lib/dpkg/status",
                               .purl = "pkg:deb/ubuntu/libc6@2.36-9%2Bdeb12u4?arch=amd64"});
  CHECK(packages[1].source == "gcc-12 12.2.0-14");
  CHECK(packages[1].purl == "pkg:deb/ubuntu/libstdc%2B%2B6@1:12.2?arch=amd64");
  CHECK(packages[2].purl == "pkg:deb/ubuntu/tzdata@2024a");
}

TEST_CASE("Python's distributions are read from their metadata", "[image]") {
  const auto packages =
      packages_in({{"usr/lib/python3/dist-packages/six.egg-info",
                    "Metadata-Version: 1.2\nName: six\nVersion: 1.16\nLicense: MIT\n"},
                   {"app/.venv/lib/A_b.C-1.0.dist-info/METADATA",
                    "Metadata-Version: 2.1\nName: A_b.C\nVersion: 1.0+cpu\nLicense: UNKNOWN\n"
                    "Classifier: License :: OSI Approved :: BSD License\n"
                    "Classifier: Programming Language :: Python\n"
                    "\nName: not-this\n"},
                   {"x/broken.dist-info/METADATA", "Name: x\n"},
                   {"y/new.egg-info/PKG-INFO",
                    "Name: new\nVersion: 2\nLicense-Expression: MIT OR Apache-2.0\n"}});
  REQUIRE(packages.size() == 3);
  CHECK(packages[0].purl == "pkg:pypi/a-b.c@1.0%2Bcpu");
  CHECK(packages[0].license == "BSD License");
  CHECK(packages[1].license == "MIT OR Apache-2.0");
  CHECK(packages[2].name == "six");
  CHECK(packages[2].kind == Kind::python);
}

TEST_CASE("hostile lists of packages do no harm", "[image]") {
  const std::string rubbish = "Package: \xff\x01name\nVersion: " + std::string(100000, 'v') + "\n";
  const auto packages = packages_in({{"var/lib/dpkg/status", rubbish}});
  REQUIRE(packages.size() == 1);
  CHECK(packages[0].version.size() == max_package_field);
  CHECK(packages[0].name == "\xEF\xBF\xBD name");
  std::string many;
  for (std::size_t i = 0; i < max_packages + 10; ++i)
    many += "Package: p" + std::to_string(i) + "\nVersion: 1\n\n";
  CHECK(packages_in({{"var/lib/dpkg/status", many}}).size() == max_packages);
}

TEST_CASE("licences that are known become SPDX expressions", "[image]") {
  CHECK(spdx_license("MIT License") == "MIT");
  CHECK(spdx_license(" Apache 2.0 ") == "Apache-2.0");
  CHECK(spdx_license("mit OR Apache-2.0") == "MIT OR Apache-2.0");
  CHECK(spdx_license("MIT AND BSD-3-Clause OR ISC") == "MIT AND BSD-3-Clause OR ISC");
  CHECK_FALSE(spdx_license("MIT OR"));
  CHECK_FALSE(spdx_license("BSD"));
  CHECK_FALSE(spdx_license(""));
}

TEST_CASE("an SPDX document has what the specification asks for", "[image]") {
  ImageMaker maker;
  const Layer layer = maker.layer({maker.file("app/b.py", "print(1)\n"), maker.directory("app/c"),
                                   maker.file("app/a.py", ""), maker.file("app/.wh.x", "")});
  SbomInput input{
      .name = "localhost:5000/team/digits:v1",
      .digest = sha256("manifest"),
      .created = "2026-11-23T15:00:00Z",
      .tool_version = "1.2",
      .packages = packages_in(
          {{"var/lib/dpkg/status", "Package: libc6\nVersion: 2.36\nArchitecture: amd64\n"
                                   "Maintainer: A <a@b>\n"},
           {"x/six.egg-info", "Name: six\nVersion: 1\nLicense: MIT\n"},
           {"x/odd.egg-info", "Name: odd/../\xc3\xa9\nVersion: 1\nLicense: own\n"}})};
  input.project =
      SbomProject{.name = "digits",
                  .version = "abc123",
                  .uri = "git+https://example.com/digits@abc123",
                  .files = layer_files(maker.layout, layer.descriptor, layer.diff_id, {}),
                  .layer = layer.diff_id};
  const std::string text = spdx_document(input);
  CHECK(text == spdx_document(input));
  const Json document = parse_json(text, "document");
  check_spdx(document);
  CHECK(document.at("documentNamespace") ==
        "https://spdx.org/spdxdocs/localhost:5000%2Fteam%2Fdigits:v1-" + input.digest.hex());
  const Json& packages = document.at("packages");
  REQUIRE(packages.size() == 5);
  CHECK(packages[0].at("externalRefs").at(0).at("referenceLocator") ==
        "pkg:oci/digits@sha256:" + input.digest.hex());
  CHECK(packages[1].at("supplier") == "Organization: A (a@b)");
  CHECK(packages[2].at("licenseComments") == "declared as: own");
  CHECK(packages[3].at("licenseDeclared") == "MIT");
  REQUIRE(document.at("files").size() == 2);
  CHECK(document.at("files")[0].at("fileName") == "./app/a.py");
  // By sha1sum: the empty text is da39..., "print(1)\n" is e9b8...
  CHECK(document.at("files")[0].at("checksums")[0].at("checksumValue") ==
        "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  CHECK(packages[4].at("packageVerificationCode").at("packageVerificationCodeValue") ==
        "85a09d5030d7bc8b8752df94627386c02c321263");
  input.project->files.resize(max_sbom_files + 1);
  const Json large = parse_json(spdx_document(input), "document");
  CHECK_FALSE(large.contains("files"));
  check_spdx(large);
}

TEST_CASE("provenance names subject, parameters and materials, and no secret", "[image]") {
  const Json parameters = json_object({{"dockerfile", "FROM x"}});
  ProvenanceInput input{
      .name = "digits",
      .digest = sha256("manifest"),
      .kind = ProvenanceInput::Kind::dockerfile,
      .parameters = &parameters,
      .materials = {{.uri = "https://me:word@host/x.whl?token=1", .digests = {{"sha256", "22"}}},
                    {.name = "base image",
                     .uri = "pkg:oci/debian@sha256:11",
                     .digests = {{"sha256", "11"}}},
                    {.uri = "git+https://host/p", .digests = {{"gitCommit", "abc"}}}},
      .builder_version = "1.2",
      .started = {},
      .finished = {}};
  const std::string text = provenance_document(input);
  const Json statement = parse_json(text, "statement");
  CHECK(statement.at("_type") == "https://in-toto.io/Statement/v1");
  CHECK(statement.at("predicateType") == "https://slsa.dev/provenance/v1");
  CHECK(statement.at("subject")[0].at("digest").at("sha256") == input.digest.hex());
  const Json& definition = statement.at("predicate").at("buildDefinition");
  CHECK(definition.at("buildType") == "urn:mlp:build:dockerfile:v1");
  CHECK(definition.at("externalParameters").at("dockerfile") == "FROM x");
  REQUIRE(definition.at("resolvedDependencies").size() == 3);
  CHECK(definition.at("resolvedDependencies")[1].at("uri") == "https://host/x.whl");
  const Json& run = statement.at("predicate").at("runDetails");
  CHECK(run.at("builder").at("version").at("mlp") == "1.2");
  CHECK_FALSE(run.contains("metadata"));
  std::reverse(input.materials.begin(), input.materials.end());
  CHECK(provenance_document(input) == text);
  input.started = "2026-11-23T15:00:00Z";
  CHECK(parse_json(provenance_document(input), "statement")
            .at("predicate")
            .at("runDetails")
            .at("metadata")
            .at("startedOn") == "2026-11-23T15:00:00Z");
  input.materials.push_back({.name = "nothing known"});
  CHECK_THROWS_WITH(provenance_document(input),
                    "'nothing known' goes into the image, and its digest is not known");
  CHECK(public_uri("a@b") == "a@b");
  CHECK(public_uri("https://h/a@b#c") == "https://h/a@b");
}

TEST_CASE("artifacts lie beside their image and are found by it", "[image]") {
  ImageMaker maker;
  const Image image = maker.image({{maker.file("a", "1")}});
  const auto text_of = [&](std::string_view type) {
    return attached(*layout_source(maker.layout, image.descriptor), image.descriptor.digest, type);
  };
  CHECK_FALSE(text_of(sbom_type));
  const Descriptor one = attach(maker.layout, image.descriptor, sbom_type, "{\"a\":1}");
  CHECK(attach(maker.layout, image.descriptor, sbom_type, "{\"a\":1}").digest == one.digest);
  static_cast<void>(attach(maker.layout, image.descriptor, provenance_type, "{}", {{"k", "v"}}));
  CHECK(maker.layout.referrers(image.descriptor.digest).size() == 2);
  CHECK(text_of(sbom_type) == "{\"a\":1}");
  CHECK(text_of(provenance_type) == "{}");
  const Manifest manifest = parse_manifest(maker.layout.read(one.digest), "artifact");
  CHECK(manifest.artifact_type == sbom_type);
  CHECK(manifest.config.digest == sha256("{}"));
  CHECK(manifest.config.media_type == media::empty);
  CHECK(manifest.subject->digest == image.descriptor.digest);
}
