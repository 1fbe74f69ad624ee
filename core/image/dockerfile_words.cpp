// One pass over the characters; what ${x:-...} holds is a word of its own, to a limited depth.
#include "core/image/dockerfile_words.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/image/dockerfile.hpp"

#include <fmt/format.h>

namespace mlp::image {

namespace {

constexpr int deepest = 16;

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

class Expander {
 public:
  Expander(std::string_view text, const Expansion& expansion, bool quotes)
      : text_(text), expansion_(expansion), quotes_(quotes) {}

  std::string all() { return part('\0'); }

 private:
  std::string part(char stop) {
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (stop != '\0' && c == stop) {
        ++at_;
        return out;
      }
      if (c == '$') {
        append(out, variable());
      } else if (quotes_ && c == '\'') {
        single_quoted(out);
      } else if (quotes_ && c == '"') {
        double_quoted(out);
      } else if (c == expansion_.escape) {
        escaped(out, quotes_);
      } else {
        out += c;
        ++at_;
      }
    }
    if (stop != '\0') expansion_.place.fail("a '${' has no '}'");
    return out;
  }

  void append(std::string& out, std::string_view value) const {
    if (out.size() + value.size() > max_dockerfile_value)
      expansion_.place.fail(
          fmt::format("a value is of more than {}", format_bytes(max_dockerfile_value)));
    out += value;
  }

  // An escape that stands for nothing stays, unless `everywhere`.
  void escaped(std::string& out, bool everywhere) {
    ++at_;
    if (at_ == text_.size()) {
      if (!everywhere) out += expansion_.escape;
      return;
    }
    const char c = text_[at_++];
    const bool special = c == '$' || c == expansion_.escape || (quotes_ && c == '"');
    if (!everywhere && !special) out += expansion_.escape;
    out += c;
  }

  void single_quoted(std::string& out) {
    const std::size_t end = text_.find('\'', at_ + 1);
    if (end == std::string_view::npos) expansion_.place.fail("a quote is not closed: '");
    append(out, text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
  }

  void double_quoted(std::string& out) {
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return;
      }
      if (c == '$') {
        append(out, variable());
      } else if (c == expansion_.escape) {
        escaped(out, false);
      } else {
        out += c;
        ++at_;
      }
    }
    expansion_.place.fail("a quote is not closed: \"");
  }

  // What a shell calls a parameter: a name, digits, or one of its special characters; "" for none.
  std::string_view parameter() {
    const std::size_t from = at_;
    if (at_ < text_.size() && is_name_start(text_[at_])) {
      while (at_ < text_.size() && (is_name_start(text_[at_]) || is_digit(text_[at_])))
        ++at_;
    } else if (at_ < text_.size() && is_digit(text_[at_])) {
      while (at_ < text_.size() && is_digit(text_[at_]))
        ++at_;
    } else if (at_ < text_.size() &&
               std::string_view("@*#?-$!").find(text_[at_]) != std::string_view::npos) {
      ++at_;
    }
    return text_.substr(from, at_ - from);
  }

  std::string variable() {
    ++at_;
    if (at_ < text_.size() && text_[at_] == '{') return braced();
    const std::string_view name = parameter();
    if (name.empty()) return "$";
    return expansion_.lookup(name).value_or("");
  }

  std::string braced() {
    const std::size_t from = at_ - 1;
    ++at_;
    const std::string name(parameter());
    const auto whole = [&] {
      return text_.substr(from, std::min<std::size_t>(40, text_.size() - from));
    };
    if (name.empty()) expansion_.place.fail(fmt::format("'{}' names no variable", whole()));
    if (at_ == text_.size()) expansion_.place.fail("a '${' has no '}'");
    std::optional<std::string> value = expansion_.lookup(name);
    char c = text_[at_++];
    if (c == '}') return value.value_or("");
    const bool empty_too = c == ':';
    if (empty_too) c = at_ < text_.size() ? text_[at_++] : '\0';
    if (c != '-' && c != '+' && c != '?')
      expansion_.place.fail(fmt::format("'{}' is no replacement that is known", whole()),
                            "known: ${x} ${x:-default} ${x:+other} ${x:?message}");
    if (++depth_ > deepest)
      expansion_.place.fail(fmt::format("variables are in each other more than {} deep", deepest));
    const std::string other = part('}');
    --depth_;
    const bool set = value && !(empty_too && value->empty());
    if (c == '+') return set ? other : "";
    if (set) return *std::move(value);
    if (c == '?')
      expansion_.place.fail(
          fmt::format("'{}' {}", name, other.empty() ? "has to be set, and is not" : other),
          fmt::format("give it a value: ARG {} in this stage, with --build-arg {}=...", name,
                      name));
    return other;
  }

  std::string_view text_;
  const Expansion& expansion_;
  bool quotes_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

} // namespace

void DockerfilePlace::fail(std::string_view message, std::string hint) const {
  Error error(ErrorKind::config, fmt::format("{}:{}: {}", printable(name), line, message));
  if (!hint.empty()) error.add_hint(std::move(hint));
  throw error;
}

std::vector<std::string> raw_words(std::string_view text, char escape) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (true) {
    while (at < text.size() && is_blank(text[at]))
      ++at;
    if (at == text.size()) return words;
    const std::size_t from = at;
    char quote = '\0';
    for (; at < text.size() && (quote != '\0' || !is_blank(text[at])); ++at) {
      const char c = text[at];
      if (c == escape && quote != '\'') {
        if (at + 1 < text.size()) ++at;
      } else if (quote == '\0' && (c == '\'' || c == '"')) {
        quote = c;
      } else if (c == quote) {
        quote = '\0';
      }
    }
    words.emplace_back(text.substr(from, at - from));
  }
}

std::string expand_word(std::string_view word, const Expansion& expansion) {
  return Expander(word, expansion, true).all();
}

std::string expand_content(std::string_view content, const Expansion& expansion) {
  return Expander(content, expansion, false).all();
}

} // namespace mlp::image
