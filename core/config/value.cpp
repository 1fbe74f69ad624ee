// The core schema of YAML 1.2 (section 10.3.2): which plain texts are null, booleans and numbers.
#include "core/config/value.hpp"

#include "core/base/json.hpp"

#include <charconv>

namespace mlp::config {

namespace {

template <class Number>
bool is_all(std::string_view text, Number& value) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size();
}

// from_chars takes "inf" and "nan" too; a number here has digits.
bool looks_numeric(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789+-.eE") == std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

} // namespace

Scalar parse_scalar(std::string_view text, Position position) {
  Scalar scalar{ScalarType::string, std::string(text), position};
  std::string_view digits = text;
  if (digits.starts_with('+') && digits.size() > 1 && digits[1] != '-') digits.remove_prefix(1);
  std::int64_t integer = 0;
  double number = 0;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    scalar.type = ScalarType::null;
  else if (text == "true" || text == "True" || text == "TRUE" || text == "false" ||
           text == "False" || text == "FALSE")
    scalar.type = ScalarType::boolean;
  else if (looks_numeric(digits) && is_all(digits, integer))
    scalar.type = ScalarType::integer;
  else if (looks_numeric(digits) && is_all(digits, number))
    scalar.type = ScalarType::number;
  return scalar;
}

Json Scalar::to_json() const {
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  std::int64_t integer = 0;
  double number = 0;
  switch (type) {
  case ScalarType::null:
    return nullptr;
  case ScalarType::boolean:
    return text.front() == 't' || text.front() == 'T';
  case ScalarType::integer:
    if (is_all(digits, integer)) return integer;
    break;
  case ScalarType::number:
    if (is_all(digits, number)) return number;
    break;
  case ScalarType::string:
    break;
  }
  return text;
}

} // namespace mlp::config
