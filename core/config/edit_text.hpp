// What edits of YAML share: text by lines and spans, and the check that an edit means what was
// wanted. Internal to core/config.
#pragma once

#include "core/config/edit.hpp"
#include "core/config/yaml.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::config {

// The text as lines, each with its line end.
[[nodiscard]] std::vector<std::string> to_lines(const std::string& text);
[[nodiscard]] std::string to_text(const std::vector<std::string>& lines);
[[nodiscard]] std::size_t indentation(const std::string& line);
[[nodiscard]] bool is_blank(const std::string& line);
[[nodiscard]] bool is_comment(const std::string& line);
// The byte of a position. Columns count characters.
[[nodiscard]] std::size_t offset_of(const std::string& text, Position position);
// From a byte within a flow collection: the first of `stops` at the same depth, outside quotes.
[[nodiscard]] std::size_t find_in_flow(const std::string& text, std::size_t at,
                                       std::string_view stops);

// The new text if it parses to one of the trees that are right, else Error(config) with the hint
// `by_hand`.
[[nodiscard]] std::string verified(std::string text, std::string_view name,
                                   const std::vector<YamlNode>& wanted, const std::string& by_hand);

// One edit of mlp.yaml under the lock; `what`: "adding x to". The result must also be a valid
// project file. True if it changed.
bool edit_project(const Project& project, const std::string& what,
                  const std::function<std::string(const std::string&)>& edit);

} // namespace mlp::config
