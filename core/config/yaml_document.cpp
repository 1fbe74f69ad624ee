// What one can ask of a parsed document: lookup, comparison, errors that show the line, quoting.
#include "core/base/text.hpp"
#include "core/config/value.hpp"
#include "core/config/yaml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace mlp::config {

namespace {

// The line from 1, without its end.
std::string_view source_line(std::string_view text, std::uint32_t line) {
  std::size_t start = 0;
  for (std::uint32_t i = 1; i < line; ++i) {
    const std::size_t end = text.find('\n', start);
    if (end == std::string_view::npos) return {};
    start = end + 1;
  }
  std::string_view found = text.substr(start, text.find('\n', start) - start);
  if (found.ends_with('\r')) found.remove_suffix(1);
  return found;
}

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

} // namespace

const YamlNode* YamlNode::find(std::string_view key) const noexcept {
  for (const YamlEntry& entry : entries)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

bool YamlNode::same_as(const YamlNode& other) const noexcept {
  if (kind != other.kind || text != other.text) return false;
  // Quotes matter where the plain text would be a number, true, false or null.
  if (quoted != other.quoted && parse_scalar(text).type != ScalarType::string) return false;
  return std::equal(items.begin(), items.end(), other.items.begin(), other.items.end(),
                    [](const YamlNode& a, const YamlNode& b) { return a.same_as(b); }) &&
         std::equal(entries.begin(), entries.end(), other.entries.begin(), other.entries.end(),
                    [](const YamlEntry& a, const YamlEntry& b) {
                      return a.key == b.key && a.value.same_as(b.value);
                    });
}

Error YamlDocument::error_at(Position position, std::string_view message) const {
  if (position.line == 0) return {ErrorKind::config, fmt::format("{}: {}", name_, message)};
  Error error(ErrorKind::config,
              fmt::format("{}:{}:{}: {}", name_, position.line, position.column, message));
  // A window of the line around the column, with one place for each character.
  static constexpr std::size_t width = 100;
  const std::size_t column = position.column - 1;
  const std::size_t from = column < width - 20 ? 0 : column - width / 2;
  std::string shown;
  std::size_t character = 0;
  const std::string_view line = source_line(text_, position.line);
  const bool is_text = is_valid_utf8(line);
  for (char c : line) {
    if (!is_text && (static_cast<unsigned char>(c) & 0x80) != 0) c = '?';
    if (!continues_character(c)) ++character;
    if (character <= from || character > from + width) continue;
    shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  const std::string number = std::to_string(position.line);
  error.add_context(fmt::format("{} | {}", number, shown));
  error.add_context(fmt::format("{:>{}} | {:>{}}", "", number.size(), "^", column - from + 1));
  return error;
}

const YamlNode& YamlDocument::nearest(std::initializer_list<std::string_view> path) const {
  const YamlNode* node = &root_;
  for (const std::string_view step : path) {
    const YamlNode* next = node->find(step);
    if (node->kind == YamlKind::sequence) {
      std::size_t index = 0;
      const auto [end, code] = std::from_chars(step.data(), step.data() + step.size(), index);
      if (code == std::errc() && end == step.data() + step.size() && index < node->items.size())
        next = &node->items[index];
    }
    if (next == nullptr) break;
    node = next;
  }
  return *node;
}

std::string yaml_quote(std::string_view text) {
  static constexpr std::string_view first =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/_.";
  static constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.+-:@=%~ ";
  // Words that YAML 1.1 or 1.2 reads as something else than a string.
  static constexpr std::string_view taken[] = {"null", "true", "false", "yes", "no",
                                               "on",   "off",  "y",     "n",   ".nan",
                                               ".inf", ".",    "..",    "---", "..."};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const bool safe =
      !text.empty() && first.find(text.front()) != std::string_view::npos &&
      text.find_first_not_of(plain) == std::string_view::npos &&
      text.find(": ") == std::string_view::npos && text.back() != ':' && text.back() != ' ' &&
      text.find("  ") == std::string_view::npos &&
      (text.front() != '.' || text.find_first_not_of("./") != std::string_view::npos) &&
      std::find(std::begin(taken), std::end(taken), lower) == std::end(taken);
  // ".5" is a number; "./a" is not.
  const bool number = text.size() > 1 && text.front() == '.' && text[1] >= '0' && text[1] <= '9';
  if (safe && !number) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      quoted += fmt::format("\\{}", c);
    else if (c == '\n')
      quoted += "\\n";
    else if (c == '\t')
      quoted += "\\t";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      quoted += c;
  }
  return quoted + "\"";
}

} // namespace mlp::config
