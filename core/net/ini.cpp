// Line by line; nothing nests.
#include "core/net/ini.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp::net {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// A comment behind a value begins at a '#' or ';' that follows a space: keys may hold either.
std::string_view without_comment(std::string_view value) {
  for (std::size_t i = 1; i < value.size(); ++i)
    if ((value[i] == '#' || value[i] == ';') && (value[i - 1] == ' ' || value[i - 1] == '\t'))
      return value.substr(0, i);
  return value;
}

} // namespace

IniFile parse_ini(std::string_view text, std::string_view name) {
  const auto fail = [&](std::size_t line, std::string_view reason) {
    return Error(ErrorKind::config, fmt::format("{}:{}: {}", printable(name), line, reason));
  };
  if (text.size() > max_ini_bytes) throw fail(1, "the file is larger than 1 MiB");
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  IniFile file;
  IniFile::mapped_type* section = nullptr;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view words = trim(line);
    if (words.empty() || words.front() == '#' || words.front() == ';') continue;
    if (words.find('\0') != std::string_view::npos) throw fail(number, "a NUL character");
    if (words.front() == '[') {
      const auto close = words.find(']');
      if (close == std::string_view::npos) throw fail(number, "'[' without ']'");
      section = &file[std::string(trim(words.substr(1, close - 1)))];
      continue;
    }
    if (section == nullptr) throw fail(number, "a setting before the first '[section]'");
    if (line.front() == ' ' || line.front() == '\t') continue;
    const auto equals = words.find('=');
    if (equals == std::string_view::npos || equals == 0)
      throw fail(number, "neither '[section]' nor 'key = value'");
    (*section)[lower(trim(words.substr(0, equals)))] =
        std::string(trim(without_comment(words.substr(equals + 1))));
  }
  return file;
}

} // namespace mlp::net
