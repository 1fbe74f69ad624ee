// Json for .cpp files, and the one way to parse text from outside: limited in size and depth.
#pragma once

#include "core/base/json_fwd.hpp"

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

// Without its literals ""_json and ""_json_pointer: as inline functions that are no templates they
// have the whole parser compiled in every source that includes the header, and nothing here uses
// them. Each is left declared, and its body becomes a template that nobody calls.
#define _json(text, size)                                                                          \
  _json(text, size);                                                                               \
  template <int>                                                                                   \
  nlohmann::json unused_literal(text, size)
#define _json_pointer(text, size)                                                                  \
  _json_pointer(text, size);                                                                       \
  template <int>                                                                                   \
  nlohmann::json::json_pointer unused_pointer_literal(text, size)

#include <nlohmann/json.hpp>

#undef _json
#undef _json_pointer

// What nearly every source uses is compiled once, in json.cpp. (The class as a whole would bring
// the readers and writers of CBOR and its kin, which nothing here uses.)
namespace nlohmann {
extern template basic_json<>::basic_json(const basic_json<>&);
extern template basic_json<>::~basic_json();
} // namespace nlohmann

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

struct JsonMember;

// What a member of an object is made of. Its constructors are compiled once, whereas Json's own
// initializer lists are compiled anew for each length of a key and each type of a value.
class JsonValue {
 public:
  JsonValue(std::nullptr_t);
  JsonValue(bool value);
  JsonValue(int value);
  JsonValue(unsigned value);
  JsonValue(long value);
  JsonValue(unsigned long value);
  JsonValue(long long value);
  JsonValue(unsigned long long value);
  JsonValue(float value);
  JsonValue(double value);
  JsonValue(const char* text);
  JsonValue(std::string_view text);
  JsonValue(const std::string& text);
  JsonValue(std::string&& text);
  JsonValue(const Json& value);
  JsonValue(Json&& value);
  JsonValue(const std::vector<std::string>& values);
  JsonValue(std::initializer_list<JsonMember> members);
  JsonValue(const JsonValue&) = delete;
  JsonValue& operator=(const JsonValue&) = delete;
  ~JsonValue();

 private:
  friend Json json_object(std::initializer_list<JsonMember> members);
  mutable Json value_; // moved out of a list, whose elements are const
};

struct JsonMember {
  std::string_view key;
  JsonValue value;
};

// {"key": value, ...}; of two members with one key the first stays.
[[nodiscard]] Json json_object(std::initializer_list<JsonMember> members = {});
[[nodiscard]] Json json_array(); // []

// Typed access to a member with an error that names the key. Throw Error(config) if it is absent or
// of another type. `what` names the document.
[[nodiscard]] const Json& json_member(const Json& object, std::string_view key,
                                      std::string_view what);
[[nodiscard]] std::string json_string(const Json& object, std::string_view key,
                                      std::string_view what);
[[nodiscard]] long long json_int(const Json& object, std::string_view key, std::string_view what);

} // namespace mlp
