// INI text as the AWS shared files have it: "[section]", "key = value", comments at '#' and ';',
// indented lines as sub-settings of the line above, which are passed over. Source: "Configuration
// and credential file settings", AWS CLI user guide.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace mlp::net {

// Section -> key (lower case) -> value. Of a key that stands twice the last counts, and a section
// that stands twice is one.
using IniFile = std::map<std::string, std::map<std::string, std::string, std::less<>>, std::less<>>;

inline constexpr std::size_t max_ini_bytes = 1u << 20;

// Throws Error(config) that names `name` and the line, without quoting it (it may hold a secret).
[[nodiscard]] IniFile parse_ini(std::string_view text, std::string_view name);

} // namespace mlp::net
