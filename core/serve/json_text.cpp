// Text that needs no escape, nearly all of it, is copied in runs.
#include "core/serve/json_text.hpp"

#include "core/base/text.hpp"

#include <cstdint>

namespace mlp::serve {

namespace {

// Bytes of the UTF-8 character at the front of `text`, 0 if it is not one.
std::size_t utf8_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (length > text.size()) return 0;
  return is_valid_utf8(text.substr(0, length)) ? length : 0;
}

void append_escaped(std::string& out, char c) {
  constexpr char hex[] = "0123456789abcdef";
  switch (c) {
  case '"':
    out += "\\\"";
    return;
  case '\\':
    out += "\\\\";
    return;
  case '\n':
    out += "\\n";
    return;
  case '\r':
    out += "\\r";
    return;
  case '\t':
    out += "\\t";
    return;
  default:
    out += "\\u00";
    out += hex[static_cast<unsigned char>(c) >> 4];
    out += hex[static_cast<unsigned char>(c) & 15];
  }
}

bool needs_escape(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

} // namespace

void append_json_string(std::string& out, std::string_view text) {
  const bool valid = is_valid_utf8(text);
  out += '"';
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = valid ? 1 : utf8_length(text.substr(i));
    if (length > 0 && !needs_escape(text[i])) {
      i += length;
      continue;
    }
    out.append(text, copied, i - copied);
    if (length == 0)
      out += "\\ufffd";
    else
      append_escaped(out, text[i]);
    copied = ++i;
  }
  out.append(text, copied, text.size() - copied);
  out += '"';
}

} // namespace mlp::serve
