// The XML that S3 answers with: elements and text. Attributes are passed over (they are name
// spaces); a DOCTYPE, and with it every entity of a document's own, is refused. Source: XML 1.0.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::storage {

struct XmlElement {
  std::string name; // as it stands, with a prefix if there is one
  std::string text; // all text in it but its children's, decoded, not trimmed
  std::vector<XmlElement> children;

  // The first child of that name, or nullptr.
  [[nodiscard]] const XmlElement* find(std::string_view child) const noexcept;
  // Its text; "" if there is none.
  [[nodiscard]] std::string_view value(std::string_view child) const noexcept;
};

inline constexpr std::size_t max_xml_depth = 32;
inline constexpr std::size_t max_xml_elements = 200'000;

// nullopt if it is not well-formed, or deeper or longer than the limits. Never throws Error.
[[nodiscard]] std::optional<XmlElement> parse_xml(std::string_view text);

// For text between tags: & < > " '.
[[nodiscard]] std::string xml_escape(std::string_view text);

} // namespace mlp::storage
