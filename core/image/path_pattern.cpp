// The pattern as an automaton whose states are all followed at once: no backtracking.
#include "core/image/path_pattern.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::image {

namespace {

std::size_t code(char c) {
  return static_cast<unsigned char>(c);
}

[[noreturn]] void fail(std::string_view text) {
  throw Error(ErrorKind::config, fmt::format("'{}' is no pattern of paths", printable(text)))
      .with_hint("a '[' needs its ']', and a '\\' a character after it");
}

} // namespace

PathPattern::PathPattern(std::string_view text, bool double_star) : text_(text) {
  for (std::size_t at = 0; at < text.size();) {
    Token token{Kind::one, {}};
    const char c = text[at++];
    if (c == '*' && double_star && at < text.size() && text[at] == '*') {
      ++at;
      if (at < text.size() && text[at] == '/') ++at;
      token.kind = at == text.size() ? Kind::all : Kind::folders;
    } else if (c == '*') {
      token.kind = Kind::star;
    } else if (c == '?') {
      token.set.set().reset(code('/'));
    } else if (c == '[') {
      at = read_set(text, at);
      continue;
    } else if (c == '\\') {
      if (at == text.size()) fail(text);
      token.set.set(code(text[at++]));
    } else {
      token.set.set(code(c));
    }
    tokens_.push_back(token);
  }
}

// After its '['; the position after its ']'.
std::size_t PathPattern::read_set(std::string_view text, std::size_t at) {
  Token token{Kind::one, {}};
  const bool negated = at < text.size() && text[at] == '^';
  if (negated) ++at;
  const auto next = [&] {
    if (at < text.size() && text[at] == '\\') ++at;
    if (at >= text.size()) fail(text);
    return code(text[at++]);
  };
  for (bool first = true; first || at >= text.size() || text[at] != ']'; first = false) {
    const std::size_t low = next();
    std::size_t high = low;
    if (at + 1 < text.size() && text[at] == '-' && text[at + 1] != ']') {
      ++at;
      high = next();
    }
    for (std::size_t c = low; c <= high; ++c)
      token.set.set(c);
  }
  if (negated) token.set.flip();
  token.set.reset(code('/'));
  tokens_.push_back(token);
  return at + 1;
}

bool PathPattern::matches(std::string_view path) const {
  const std::size_t end = tokens_.size();
  // Where in the pattern the path may be, and in which `folders` it is in the middle of a name.
  std::vector<bool> now(end + 1), inside(end), next(end + 1), next_inside(end);
  const auto add = [&](std::vector<bool>& at, std::vector<bool>& in, std::size_t i) {
    for (; !at[i]; ++i) {
      at[i] = true;
      if (i == end || tokens_[i].kind == Kind::one) return;
      if (tokens_[i].kind == Kind::folders) in[i] = true;
    }
  };
  add(now, inside, 0);
  for (const char c : path) {
    std::fill(next.begin(), next.end(), false);
    std::fill(next_inside.begin(), next_inside.end(), false);
    for (std::size_t i = 0; i < end; ++i) {
      if (inside[i]) {
        next_inside[i] = true;
        if (c == '/') add(next, next_inside, i + 1);
      }
      if (!now[i]) continue;
      const Token& token = tokens_[i];
      if (token.kind == Kind::one && token.set[code(c)]) add(next, next_inside, i + 1);
      if (token.kind == Kind::star && c != '/') add(next, next_inside, i);
      if (token.kind == Kind::all) add(next, next_inside, i);
    }
    now.swap(next);
    inside.swap(next_inside);
  }
  return now[end];
}

bool PathPattern::has_wildcards() const noexcept {
  return text_.find_first_of("*?[\\") != std::string::npos;
}

} // namespace mlp::image
