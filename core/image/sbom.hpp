// What is in an image, as an SPDX 2.3 document in JSON. Pure, except for layer_files().
// Source: SPDX Specification 2.3 (spdx.github.io/spdx-spec/v2.3), its JSON schema.
#pragma once

#include "core/image/layout.hpp"
#include "core/image/packages.hpp"

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::image {

inline constexpr std::size_t max_sbom_files = 10000;

struct SbomFile {
  std::string path; // in the image, without "/" before it
  Digest sha256;
  std::string sha1; // 40 hexadecimal digits: the specification wants it of every file
  bool operator==(const SbomFile&) const = default;
};

// The project's own files: a package of their own.
struct SbomProject {
  std::string name, version; // the version may be empty: a commit, a tag
  std::string uri;           // where its source is, "git+https://...@COMMIT"; may be empty
  // More than max_sbom_files are not listed; `layer` then stands for them.
  std::vector<SbomFile> files;
  Digest layer; // of their layer as a tar
};

struct SbomInput {
  std::string name;    // of the image: "digits:latest"
  Digest digest;       // of its manifest
  std::string created; // RFC 3339 in UTC, seconds: "2026-11-23T15:00:00Z"
  std::string tool_version;
  std::vector<Package> packages; // as packages_in() gives them
  std::optional<SbomProject> project;
};

// One line of JSON with sorted members: the same input gives the same bytes. All text is made valid
// UTF-8.
[[nodiscard]] std::string spdx_document(const SbomInput& input);

// The regular files of a layer with their digests, sorted by path: one pass over it. Throws
// Error(integrity) for a damaged layer, Error(interrupted).
[[nodiscard]] std::vector<SbomFile> layer_files(const Layout& layout, const Descriptor& layer,
                                                const Digest& diff_id, const std::stop_token& stop);

// A licence as it is declared ("MIT License", "Apache 2.0", "BSD-3-Clause") as an SPDX expression;
// nullopt for what is none that is known.
[[nodiscard]] std::optional<std::string> spdx_license(std::string_view declared);

} // namespace mlp::image
