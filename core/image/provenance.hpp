// How an image was made, as a statement that tools for supply chains read. Pure.
// Sources: in-toto Attestation Framework, Statement v1; SLSA 1.0, provenance v1
// (slsa.dev/spec/v1.0/provenance).
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/image/oci.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mlp::image {

// What goes into an image: a base image, a package, the project's source or files.
struct Material {
  std::string name; // "base image", "libc6", "numpy-1.26.4-cp311-...whl"; may be empty
  std::string uri;  // "pkg:oci/...", "https://...", "git+https://..."; may be empty
  // By algorithm: "sha256" in hexadecimal digits, "gitCommit". At least one.
  std::map<std::string, std::string> digests;
  std::string media_type; // may be empty
  bool operator==(const Material&) const = default;
};

struct ProvenanceInput {
  std::string name; // of the image: "digits", as a subject
  Digest digest;    // of its manifest
  // A Dockerfile, or the section `image:` of mlp.yaml.
  enum class Kind { dockerfile, project } kind = Kind::project;
  // An object: what a user may change from outside. Never a secret's value: ids only.
  const Json* parameters = nullptr;
  std::vector<Material> materials;
  std::string builder_version;
  // RFC 3339 in UTC. Without them a rebuild gives the same bytes.
  std::optional<std::string> started, finished;
};

// What says how to read `parameters` of each kind; described in docs/formats.
[[nodiscard]] std::string_view build_type(ProvenanceInput::Kind kind) noexcept;

// One line of JSON; members and materials sorted. Throws Error(failed) for a material without a
// digest.
[[nodiscard]] std::string provenance_document(const ProvenanceInput& input);

// The address of a place without what a URL may keep secret: "https://user:word@host/x?key=y#z"
// is "https://host/x".
[[nodiscard]] std::string public_uri(std::string_view uri);

} // namespace mlp::image
