// Recursive descent over the text, one function a construct; `bad` stops everything.
#include "backends/storage/s3/xml.hpp"

#include "core/base/text.hpp"

#include <array>
#include <cstdint>
#include <utility>

namespace mlp::storage {

namespace {

constexpr std::array<std::pair<std::string_view, char>, 5> entities = {
    {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_char(char c) {
  return is_name_start(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':';
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto add = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6);
    add(0x80 | (code & 63));
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12);
    add(0x80 | (code >> 6 & 63));
    add(0x80 | (code & 63));
  } else {
    add(0xf0 | code >> 18);
    add(0x80 | (code >> 12 & 63));
    add(0x80 | (code >> 6 & 63));
    add(0x80 | (code & 63));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::optional<XmlElement> document() {
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
    if (rest_.starts_with("<?xml")) skip_past("?>");
    skip_between();
    XmlElement root;
    if (!element(root, 1)) return std::nullopt;
    skip_between();
    if (bad_ || !rest_.empty()) return std::nullopt;
    return root;
  }

 private:
  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  void skip_space() {
    while (!rest_.empty() && is_space(rest_.front()))
      rest_.remove_prefix(1);
  }
  void skip_past(std::string_view end) {
    const auto at = rest_.find(end);
    bad_ = bad_ || at == std::string_view::npos;
    rest_.remove_prefix(bad_ ? rest_.size() : at + end.size());
  }
  // Space and comments.
  void skip_between() {
    for (skip_space(); !bad_ && take("<!--"); skip_space())
      skip_past("-->");
  }

  std::string_view name() {
    std::size_t n = 0;
    if (!rest_.empty() && is_name_start(rest_.front()))
      while (n < rest_.size() && is_name_char(rest_[n]))
        ++n;
    bad_ = bad_ || n == 0;
    const std::string_view found = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return found;
  }

  // Up to '>' or "/>".
  void skip_attributes() {
    while (!bad_) {
      const std::size_t before = rest_.size();
      skip_space();
      if (rest_.empty() || rest_.front() == '>' || rest_.front() == '/') return;
      bad_ = rest_.size() == before;
      (void)name();
      skip_space();
      bad_ = bad_ || !take("=");
      skip_space();
      if (bad_ || rest_.empty() || (rest_.front() != '"' && rest_.front() != '\'')) {
        bad_ = true;
        return;
      }
      const char quote = rest_.front();
      rest_.remove_prefix(1);
      const auto end = rest_.find(quote);
      bad_ = end == std::string_view::npos || rest_.substr(0, end).find('<') < end;
      rest_.remove_prefix(bad_ ? rest_.size() : end + 1);
    }
  }

  // After '&'.
  void entity(std::string& out) {
    const auto end = rest_.substr(0, 12).find(';');
    if (end == std::string_view::npos) {
      bad_ = true;
      return;
    }
    std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    if (!word.starts_with('#')) {
      for (const auto& [name, c] : entities) {
        if (word != name) continue;
        out += c;
        return;
      }
      bad_ = true;
      return;
    }
    word.remove_prefix(1);
    const bool hex = word.starts_with('x');
    if (hex) word.remove_prefix(1);
    std::uint32_t code = 0;
    bad_ = word.empty();
    for (const char c : word) {
      const int digit = c >= '0' && c <= '9'          ? c - '0'
                        : hex && c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : hex && c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                      : -1;
      bad_ = bad_ || digit < 0 || code > 0x10ffff;
      code = code * (hex ? 16 : 10) + static_cast<std::uint32_t>(digit);
    }
    bad_ = bad_ || code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000);
    if (!bad_) append_utf8(out, code);
  }

  // "<a ...>...</a>" or "<a/>".
  bool element(XmlElement& into, std::size_t depth) {
    if (bad_ || depth > max_xml_depth || ++count_ > max_xml_elements || !take("<")) return false;
    into.name = name();
    skip_attributes();
    if (bad_) return false;
    if (take("/>")) return true;
    if (!take(">")) return false;
    while (!bad_) {
      const auto plain = rest_.find_first_of("<&");
      if (plain == std::string_view::npos) return false;
      into.text += rest_.substr(0, plain);
      rest_.remove_prefix(plain);
      if (take("&")) {
        entity(into.text);
      } else if (take("</")) {
        if (name() != into.name) return false;
        skip_space();
        return !bad_ && take(">");
      } else if (take("<!--")) {
        skip_past("-->");
      } else if (take("<![CDATA[")) {
        const auto end = rest_.find("]]>");
        if (end == std::string_view::npos) return false;
        into.text += rest_.substr(0, end);
        rest_.remove_prefix(end + 3);
      } else if (!element(into.children.emplace_back(), depth + 1)) {
        return false;
      }
    }
    return false;
  }

  std::string_view rest_;
  std::size_t count_ = 0;
  bool bad_ = false;
};

} // namespace

const XmlElement* XmlElement::find(std::string_view child) const noexcept {
  for (const XmlElement& element : children)
    if (element.name == child) return &element;
  return nullptr;
}

std::string_view XmlElement::value(std::string_view child) const noexcept {
  const XmlElement* element = find(child);
  return element == nullptr ? std::string_view() : std::string_view(element->text);
}

std::optional<XmlElement> parse_xml(std::string_view text) {
  if (text.find('\0') != std::string_view::npos || !is_valid_utf8(text)) return std::nullopt;
  return Parser(text).document();
}

std::string xml_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    std::string_view word;
    for (const auto& [name, plain] : entities)
      if (c == plain) word = name;
    if (word.empty())
      out += c;
    else
      out.append("&").append(word).append(";");
  }
  return out;
}

} // namespace mlp::storage
