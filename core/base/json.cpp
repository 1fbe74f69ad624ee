// What is instantiated of nlohmann::json once for the whole program, and parsing with limits.
#include "core/base/json.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <climits>

namespace nlohmann {
template basic_json<>::basic_json(const basic_json<>&);
template basic_json<>::~basic_json();
} // namespace nlohmann

namespace mlp {

namespace {

// Depth is checked on the text first, since the parser builds what it reads.
void check_depth(std::string_view text, std::string_view what, std::size_t max_depth) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > max_depth)
        throw Error(ErrorKind::config,
                    fmt::format("{}: nested deeper than {} levels", what, max_depth));
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
}

Error wrong_type(std::string_view what, std::string_view key, std::string_view wanted) {
  return Error(ErrorKind::config, fmt::format("{}: '{}' is not {}", what, key, wanted));
}

} // namespace

JsonValue::JsonValue(std::nullptr_t) {}
JsonValue::~JsonValue() = default;
JsonValue::JsonValue(bool value) : value_(value) {}
JsonValue::JsonValue(int value) : value_(value) {}
JsonValue::JsonValue(unsigned value) : value_(value) {}
JsonValue::JsonValue(long value) : value_(value) {}
JsonValue::JsonValue(unsigned long value) : value_(value) {}
JsonValue::JsonValue(long long value) : value_(value) {}
JsonValue::JsonValue(unsigned long long value) : value_(value) {}
JsonValue::JsonValue(float value) : value_(value) {}
JsonValue::JsonValue(double value) : value_(value) {}
JsonValue::JsonValue(const char* text) : value_(text) {}
JsonValue::JsonValue(std::string_view text) : value_(text) {}
JsonValue::JsonValue(const std::string& text) : value_(text) {}
JsonValue::JsonValue(std::string&& text) : value_(std::move(text)) {}
JsonValue::JsonValue(const Json& value) : value_(value) {}
JsonValue::JsonValue(Json&& value) : value_(std::move(value)) {}
JsonValue::JsonValue(const std::vector<std::string>& values) : value_(values) {}
JsonValue::JsonValue(std::initializer_list<JsonMember> members) : value_(json_object(members)) {}

Json json_object(std::initializer_list<JsonMember> members) {
  Json object(Json::value_t::object);
  for (const JsonMember& member : members)
    object.emplace(member.key, std::move(member.value.value_));
  return object;
}

Json json_array() {
  return Json(Json::value_t::array);
}

Json parse_json(std::string_view text, std::string_view what, JsonLimits limits) {
  if (text.size() > limits.max_bytes)
    throw Error(ErrorKind::config, fmt::format("{}: larger than {} bytes", what, limits.max_bytes));
  check_depth(text, what, limits.max_depth);
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw Error(ErrorKind::config, fmt::format("{}: not valid JSON at byte {}", what, error.byte));
  } catch (const Json::exception&) {
    throw Error(ErrorKind::config, fmt::format("{}: not valid JSON", what));
  }
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string dump_json_pretty(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

const Json& json_member(const Json& object, std::string_view key, std::string_view what) {
  if (!object.is_object()) throw Error(ErrorKind::config, fmt::format("{}: not an object", what));
  const auto found = object.find(key);
  if (found == object.end())
    throw Error(ErrorKind::config, fmt::format("{}: '{}' is missing", what, key));
  return *found;
}

std::string json_string(const Json& object, std::string_view key, std::string_view what) {
  const Json& value = json_member(object, key, what);
  if (!value.is_string()) throw wrong_type(what, key, "a string");
  return value.get<std::string>();
}

long long json_int(const Json& object, std::string_view key, std::string_view what) {
  const Json& value = json_member(object, key, what);
  const bool too_large = value.is_number_unsigned() && value.get<unsigned long long>() > LLONG_MAX;
  if (!value.is_number_integer() || too_large) throw wrong_type(what, key, "an integer");
  return value.get<long long>();
}

} // namespace mlp
