// Json for .cpp files, and the one way to parse text from outside: limited in size and depth.
#pragma once

#include "core/base/json_fwd.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

extern template class nlohmann::basic_json<>;

namespace mlp {

struct JsonLimits {
  std::size_t max_bytes = 16u << 20;
  std::size_t max_depth = 64;
};

// Throws Error(config) that names `what` and the byte at which the text goes wrong, or which limit
// it exceeds. Text must be UTF-8.
[[nodiscard]] Json parse_json(std::string_view text, std::string_view what, JsonLimits limits = {});

// One line, no spaces; invalid UTF-8 is replaced, never thrown at.
[[nodiscard]] std::string dump_json(const Json& value);
// Indented by two spaces, with a final newline.
[[nodiscard]] std::string dump_json_pretty(const Json& value);

// Typed access to a member with an error that names the key. Throw Error(config) if it is absent or
// of another type. `what` names the document.
[[nodiscard]] const Json& json_member(const Json& object, std::string_view key,
                                      std::string_view what);
[[nodiscard]] std::string json_string(const Json& object, std::string_view key,
                                      std::string_view what);
[[nodiscard]] long long json_int(const Json& object, std::string_view key, std::string_view what);

} // namespace mlp
