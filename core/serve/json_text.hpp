// JSON written straight into a string: what a response is made of, without a tree in between.
#pragma once

#include <charconv>
#include <cmath>
#include <concepts>
#include <string>
#include <string_view>

namespace mlp::serve {

// With quotes, escaped as RFC 8259 says; bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// The shortest digits that read back to the same value. NaN and the infinities, which JSON has no
// numbers for, are the strings "NaN", "Infinity" and "-Infinity" (as protobuf's JSON mapping has
// them).
template <class T>
requires std::integral<T> || std::floating_point<T>
void append_json_number(std::string& out, T value) {
  if constexpr (std::floating_point<T>) {
    if (!std::isfinite(value)) {
      out += std::isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
      return;
    }
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

} // namespace mlp::serve
