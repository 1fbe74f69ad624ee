// Documents about an image that lie beside it: artifacts whose manifest names the image as its
// subject.
// Source: OCI Image Format Specification 1.1, manifest.md ("Guidelines for Artifact Usage").
#pragma once

#include "core/image/transfer.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlp::image {

inline constexpr std::string_view sbom_type = "application/spdx+json";
inline constexpr std::string_view provenance_type = "application/vnd.in-toto+json";

// No document that is read is larger.
inline constexpr std::uint64_t max_artifact = 64u << 20;

// Stores `document` as the one layer of an artifact, with the empty configuration, and adds its
// manifest to the index. The same arguments give the same digest; twice is once.
Descriptor attach(Layout& layout, const Descriptor& subject, std::string_view artifact_type,
                  std::string_view document, const Annotations& annotations = {});

// The document of such an artifact beside the image, the last by digest; nullopt for none. Blocks
// as the source does. Throws Error(integrity) for one that is damaged or has not one layer.
[[nodiscard]] std::optional<std::string> attached(ImageSource& source, const Digest& subject,
                                                  std::string_view artifact_type);

} // namespace mlp::image
