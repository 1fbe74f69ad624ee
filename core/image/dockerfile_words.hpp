// The words of a Dockerfile's instruction: parted at blanks, quotes and escapes taken away,
// variables replaced. Pure. For the sources beside it.
// Source: docs.docker.com/reference/dockerfile, "Environment replacement".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

// Where in a Dockerfile something stands: all its errors are thrown here.
struct DockerfilePlace {
  std::string_view name;
  unsigned line = 0;
  // Error(config) "NAME:LINE: message".
  [[noreturn]] void fail(std::string_view message, std::string hint = {}) const;
};

// Parted at blanks outside of quotes; quotes and escapes stay in the words.
[[nodiscard]] std::vector<std::string> raw_words(std::string_view text, char escape);

using VariableLookup = std::function<std::optional<std::string>(std::string_view)>;

struct Expansion {
  const VariableLookup& lookup;
  char escape;
  DockerfilePlace place;
};
// A word with its quotes and escapes taken away and $x, ${x}, ${x:-d}, ${x-d}, ${x:+a}, ${x+a},
// ${x:?e} and ${x?e} replaced. A variable that is not set is "".
[[nodiscard]] std::string expand_word(std::string_view word, const Expansion& expansion);
// Quotes are as any other character, and an escape works before '$' and itself only: the content of
// a heredoc.
[[nodiscard]] std::string expand_content(std::string_view content, const Expansion& expansion);

} // namespace mlp::image
