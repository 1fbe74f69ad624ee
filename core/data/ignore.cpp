// Components are matched one by one; "**" is the star of components, matched the same way.
#include "core/data/ignore.hpp"

#include <algorithm>
#include <optional>

namespace mlp::data {

namespace {

// The set that begins at pattern[at] == '[': whether it holds `c`, and where it ends. nullopt: it
// has no end, so '[' is an ordinary character.
struct SetMatch {
  bool holds = false;
  std::size_t end = 0; // after ']'
};
std::optional<SetMatch> match_set(std::string_view pattern, std::size_t at, char c) noexcept {
  std::size_t i = at + 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  const auto code = [](char x) { return static_cast<unsigned char>(x); };
  bool holds = false;
  for (bool first = true; i < pattern.size(); first = false) {
    if (pattern[i] == ']' && !first) return SetMatch{holds != negated, i + 1};
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    const unsigned char low = code(pattern[i++]);
    unsigned char high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      if (pattern[++i] == '\\' && i + 1 < pattern.size()) ++i;
      high = code(pattern[i++]);
    }
    holds = holds || (low <= code(c) && code(c) <= high);
  }
  return std::nullopt;
}

// Matches one character of `name`; the position after its pattern, or nullopt.
std::optional<std::size_t> match_one(std::string_view pattern, std::size_t at, char c) noexcept {
  if (at >= pattern.size()) return std::nullopt;
  if (pattern[at] == '?') return at + 1;
  if (pattern[at] == '[')
    if (const auto set = match_set(pattern, at, c))
      return set->holds ? std::optional(set->end) : std::nullopt;
  if (pattern[at] == '\\' && at + 1 < pattern.size()) ++at;
  return pattern[at] == c ? std::optional(at + 1) : std::nullopt;
}

// One line without its end; nullopt if it holds no pattern.
std::optional<IgnorePattern> parse_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  // Spaces at the end do not count, unless the last is escaped.
  while (line.ends_with(' ') && !(line.size() > 1 && line[line.size() - 2] == '\\'))
    line.remove_suffix(1);
  if (line.empty() || line.front() == '#') return std::nullopt;
  IgnorePattern pattern;
  if (line.front() == '!') {
    pattern.negated = true;
    line.remove_prefix(1);
  }
  if (line.ends_with('/')) {
    pattern.folders_only = true;
    while (line.ends_with('/'))
      line.remove_suffix(1);
  }
  pattern.anchored = line.find('/') != std::string_view::npos;
  while (!line.empty()) {
    const std::size_t slash = line.find('/');
    const std::string_view component = line.substr(0, slash);
    const bool repeats =
        component == "**" && !pattern.components.empty() && pattern.components.back() == "**";
    if (!component.empty() && !repeats) pattern.components.emplace_back(component);
    line = slash == std::string_view::npos ? std::string_view() : line.substr(slash + 1);
  }
  if (pattern.components.empty()) return std::nullopt;
  return pattern;
}

// Whether the components match all of the path. A "**" at the end matches what is below, not the
// folder itself.
bool matches_path(const std::vector<std::string>& components,
                  const std::vector<std::string_view>& path) {
  std::size_t c = 0;
  std::size_t p = 0;
  std::optional<std::size_t> star; // the last "**", and what it has taken up to
  std::size_t taken = 0;
  while (p < path.size()) {
    if (c < components.size() && components[c] == "**") {
      if (c + 1 == components.size()) return true; // p < path.size(): something is below
      star = c++;
      taken = p;
    } else if (c < components.size() && matches_component(components[c], path[p])) {
      ++c;
      ++p;
    } else if (star) {
      c = *star + 1;
      p = ++taken;
    } else {
      return false;
    }
  }
  return c == components.size();
}

} // namespace

bool matches_component(std::string_view pattern, std::string_view name) noexcept {
  std::size_t at = 0;
  std::size_t n = 0;
  std::optional<std::size_t> star; // after the last '*', and what it has taken up to
  std::size_t taken = 0;
  while (n < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = ++at;
      taken = n;
    } else if (const auto next = match_one(pattern, at, name[n])) {
      at = *next;
      ++n;
    } else if (star) {
      at = *star;
      n = ++taken;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*')
    ++at;
  return at == pattern.size();
}

std::vector<IgnorePattern> parse_ignore(std::string_view text) {
  std::vector<IgnorePattern> patterns;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (auto pattern = parse_line(text.substr(0, end))) patterns.push_back(*std::move(pattern));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return patterns;
}

void IgnoreRules::enter(std::string name, std::vector<IgnorePattern> patterns) {
  if (!patterns.empty()) ++with_patterns_;
  levels_.push_back({std::move(name), std::move(patterns)});
}

void IgnoreRules::leave() {
  if (!levels_.back().patterns.empty()) --with_patterns_;
  levels_.pop_back();
}

bool IgnoreRules::ignores(const std::string& name, bool folder) const {
  if (with_patterns_ == 0) return false;
  std::vector<std::string_view> path; // below the level that is asked
  path.push_back(name);
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    for (auto pattern = level->patterns.rbegin(); pattern != level->patterns.rend(); ++pattern) {
      if (pattern->folders_only && !folder) continue;
      const bool matches = pattern->anchored ? matches_path(pattern->components, path)
                                             : matches_component(pattern->components.front(), name);
      if (matches) return !pattern->negated;
    }
    path.insert(path.begin(), level->name);
  }
  return false;
}

} // namespace mlp::data
