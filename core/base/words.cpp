// Splitting a setting into words.
#include "core/base/words.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

std::vector<std::string> split_setting_words(std::string_view setting, std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (const char c : text) {
    if (quote == 0 && (c == ' ' || c == '\t')) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (quote == 0 && (c == '\'' || c == '"'))
      quote = c;
    else if (c == quote)
      quote = 0;
    else
      words.back() += c;
  }
  if (quote != 0 || words.empty() || words[0].empty())
    throw Error(ErrorKind::config,
                fmt::format("bad setting '{}', '{}': {}", setting, printable(text),
                            quote != 0 ? "a quote is not closed" : "it names no program"));
  return words;
}

} // namespace mlp
