// The common ground of edit.cpp and edit_list.cpp.
#include "core/config/edit_text.hpp"

#include "core/base/text.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace mlp::config {

std::vector<std::string> to_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find('\n', start), text.size() - 1);
    lines.push_back(text.substr(start, end + 1 - start));
    start = end + 1;
  }
  return lines;
}

std::string to_text(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines)
    text += line;
  return text;
}

std::size_t indentation(const std::string& line) {
  return std::min(line.find_first_not_of(' '), line.size());
}
bool is_blank(const std::string& line) {
  return trim(line).empty();
}
bool is_comment(const std::string& line) {
  return trim(line).starts_with('#');
}

std::size_t offset_of(const std::string& text, Position position) {
  std::size_t at = 0;
  for (std::uint32_t line = 1; line < position.line; ++line)
    at = text.find('\n', at) + 1;
  for (std::uint32_t column = 1; column < position.column; ++column) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80)
      ++at;
  }
  return at;
}

std::size_t find_in_flow(const std::string& text, std::size_t at, std::string_view stops) {
  int depth = 0;
  char quote = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (quote == '"' && c == '\\')
        ++at;
      else if (c == quote)
        quote = 0;
    } else if (depth == 0 && stops.find(c) != std::string_view::npos) {
      return at;
    } else if (c == '"' || c == '\'') {
      // A quote in the middle of plain text is only a character.
      const char before = at == 0 ? ' ' : text[at - 1];
      if (std::string_view(" \t\n,:{[").find(before) != std::string_view::npos) quote = c;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return std::string::npos;
}

std::string verified(std::string text, std::string_view name, const std::vector<YamlNode>& wanted,
                     const std::string& by_hand) {
  try {
    const YamlDocument result = YamlDocument::parse(text, std::string(name));
    YamlNode root = result.root();
    if (root.kind == YamlKind::null) root.kind = YamlKind::mapping; // nothing is left but comments
    for (const YamlNode& tree : wanted)
      if (root.same_as(tree)) return text;
  } catch (const Error&) {
    // said below, in words that help
  }
  throw Error(ErrorKind::config, fmt::format("cannot edit '{}' safely as it is written", name))
      .with_hint(by_hand);
}

bool edit_project(const Project& project, const std::string& what,
                  const std::function<std::string(const std::string&)>& edit) {
  make_directories(project.locks());
  const FileLock guard(project.locks() / "config.lock", "the project's configuration",
                       std::chrono::seconds(30));
  // A symlink stays one: its target is replaced.
  std::error_code code;
  const fs::path path = fs::canonical(project.file(), code);
  if (code) throw system_error(code.value(), "open", project.file().native());
  return with_context(fmt::format("while {} mlp.yaml", what), [&] {
    const std::string before = read_file(path, YamlLimits{}.max_bytes);
    static_cast<void>(parse_project_file(before)); // its own errors come first
    const std::string after = edit(before);
    if (after == before) return false;
    static_cast<void>(parse_project_file(after));
    struct ::stat info {};
    const unsigned mode = ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777u : 0644u;
    write_file_atomic(path, after, mode);
    return true;
  });
}

} // namespace mlp::config
