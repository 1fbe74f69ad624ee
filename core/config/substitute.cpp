// One scanner finds references; two writers put the values in: as they are, or for the shell, for
// which a small machine follows the shell's quoting up to each reference.
#include "core/config/substitute.hpp"

#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::config {

namespace {

constexpr std::string_view params_prefix = "${params.";
constexpr std::string_view env_prefix = "${env.";

bool starts_reference(std::string_view text) {
  return text.starts_with(params_prefix) || text.starts_with(env_prefix);
}

// Calls on_text(piece) for what is kept and on_value(offset, value, name) for each reference.
template <class OnText, class OnValue>
void scan(std::string_view text, const SubstitutionValues& values, OnText on_text,
          OnValue on_value) {
  std::size_t kept = 0;
  for (std::size_t at = text.find('$'); at != std::string_view::npos; at = text.find('$', at)) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("$${") && starts_reference(rest.substr(1))) {
      on_text(text.substr(kept, at - kept));
      kept = at + 1; // drops one $
      at += 2;
      continue;
    }
    if (!starts_reference(rest)) {
      ++at;
      continue;
    }
    const std::size_t end = rest.find_first_of("}\n");
    if (end == std::string_view::npos || rest[end] != '}')
      throw SubstitutionError(at, "a '}' is missing after this '${'", "");
    const bool is_param = rest.starts_with(params_prefix);
    const std::size_t start = (is_param ? params_prefix : env_prefix).size();
    const std::string name(rest.substr(start, end - start));
    std::string value;
    if (is_param) {
      const Scalar* param = values.params.find(name);
      if (param == nullptr)
        throw SubstitutionError(at, fmt::format("no param '{}'", printable(name)),
                                suggestion_hint(name, values.params.names(), "params"));
      value = param->text;
    } else {
      if (name.empty()) throw SubstitutionError(at, "a name is missing after '${env.'", "");
      const char* found = values.environment(name.c_str());
      if (found == nullptr)
        throw SubstitutionError(
            at, fmt::format("environment variable '{}' is not set", printable(name)),
            fmt::format("set it: export {}=...", printable(name)));
      value = found;
    }
    on_text(text.substr(kept, at - kept));
    on_value(at, value, rest.substr(0, end + 1));
    at += end + 1;
    kept = at;
  }
  on_text(text.substr(kept));
}

// The shell's quoting state (POSIX Shell Command Language, 2.2 and 2.3) as far as it is needed to
// place a value safely.
class ShellState {
 public:
  enum class Place { word, single_quotes, double_quotes, unclear };

  explicit ShellState(std::string_view program)
      : has_case_(program.find("case") != std::string_view::npos) {}

  void feed(std::string_view text) {
    for (const char c : text)
      step(c);
  }
  // A value is a part of a word, like any letter.
  void feed_value() { previous_ = 'x'; }

  [[nodiscard]] Place place() const {
    if (unclear_ || backquotes_ || comment_ || escaped_) return Place::unclear;
    // ${x:-...} has quoting rules of its own.
    if (nesting_.find('{') != std::string::npos) return Place::unclear;
    if (top() == '\'') return Place::single_quotes;
    return top() == '"' ? Place::double_quotes : Place::word;
  }

 private:
  [[nodiscard]] char top() const { return nesting_.empty() ? ' ' : nesting_.back(); }

  void step(char c) {
    const char before = previous_;
    previous_ = c;
    if (escaped_) {
      escaped_ = false;
      previous_ = 'x';
      return;
    }
    if (top() == '\'') {
      if (c == '\'') nesting_.pop_back();
      return;
    }
    if (comment_) {
      comment_ = c != '\n';
      return;
    }
    if (c == '\\') {
      escaped_ = true;
    } else if (c == '`') {
      backquotes_ = !backquotes_;
    } else if (c == '"') {
      if (top() == '"')
        nesting_.pop_back();
      else
        nesting_ += '"';
    } else if (before == '$' && (c == '(' || c == '{')) {
      if (has_case_ && !nesting_.empty()) unclear_ = true; // its patterns end in a lone ')'
      nesting_ += c;
    } else if (top() == '"') {
      return;
    } else if (c == '\'') {
      if (before == '$') unclear_ = true; // $'...' of other shells
      nesting_ += '\'';
    } else if (c == '(') {
      nesting_ += '(';
    } else if ((c == ')' && top() == '(') || (c == '}' && top() == '{')) {
      nesting_.pop_back();
    } else if (c == '<' && before == '<') {
      unclear_ = true; // from a here-document on, what is quoted depends on its end
    } else if (c == '#' && top() != '{' &&
               std::string_view(" \t\n;&|()").find(before) != std::string_view::npos) {
      comment_ = true;
    }
  }

  std::string nesting_; // of ' " ( {
  char previous_ = '\n';
  bool escaped_ = false;
  bool backquotes_ = false;
  bool comment_ = false;
  bool unclear_ = false;
  bool has_case_;
};

bool is_plain_word(std::string_view value) {
  return shell_quote(value) == value;
}

std::string escape(std::string_view value, ShellState::Place place) {
  std::string out;
  for (const char c : value) {
    if (place == ShellState::Place::single_quotes && c == '\'')
      out += "'\\''";
    else if (place == ShellState::Place::double_quotes &&
             std::string_view("$`\"\\").find(c) != std::string_view::npos)
      out += fmt::format("\\{}", c);
    else
      out += c;
  }
  return out;
}

} // namespace

bool has_reference(std::string_view text) noexcept {
  return text.find(params_prefix) != std::string_view::npos ||
         text.find(env_prefix) != std::string_view::npos;
}

std::string substitute(std::string_view text, const SubstitutionValues& values) {
  std::string out;
  scan(
      text, values, [&](std::string_view piece) { out += piece; },
      [&](std::size_t, const std::string& value, std::string_view) { out += value; });
  return out;
}

std::string substitute_for_shell(std::string_view text, const SubstitutionValues& values) {
  std::string out;
  ShellState state(text);
  scan(
      text, values,
      [&](std::string_view piece) {
        state.feed(piece);
        out += piece;
      },
      [&](std::size_t offset, const std::string& value, std::string_view reference) {
        const ShellState::Place place = state.place();
        if (place == ShellState::Place::word) {
          out += shell_quote(value);
        } else if (place != ShellState::Place::unclear) {
          out += escape(value, place);
        } else if (is_plain_word(value) || value.empty()) {
          out += value;
        } else {
          throw SubstitutionError(
              offset, fmt::format("the value of '{}' cannot be quoted safely here", reference),
              "give it to a variable on a line of its own, before: x=" + std::string(reference));
        }
        state.feed_value();
      });
  return out;
}

} // namespace mlp::config
