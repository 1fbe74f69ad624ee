// How a model is named on the command line and in mlp.yaml: NAME (its latest version), NAME@ALIAS,
// NAME@3, NAME@sha256:... . Parsed here only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlp::model {

struct ModelReference {
  std::string name;
  // At most one of these; none, or the alias "latest": the highest version.
  std::string alias;
  std::optional<std::int64_t> version;
  std::string digest; // 8 to 64 hexadecimal characters, the first of the digest

  [[nodiscard]] std::string text() const;
  bool operator==(const ModelReference&) const = default;
};

// Throws Error(usage) that says what is wrong with `text`.
[[nodiscard]] ModelReference parse_model_reference(std::string_view text);

// Names of aliases: as other names, but not a number, which would be a version.
[[nodiscard]] bool is_valid_alias(std::string_view name);

} // namespace mlp::model
