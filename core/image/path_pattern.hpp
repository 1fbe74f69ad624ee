// Patterns of paths as Docker has them: in COPY's sources and in .dockerignore.
// Sources: Go's path/filepath.Match; docs.docker.com/build/concepts/context, "Dockerignore files".
#pragma once

#include <bitset>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

// `*` and `?` match within a component, `[a-z]` and `[^a]` one character of it, `\x` x itself; with
// `double_star`, `**/` any number of folders and `**` at the end all that follows.
class PathPattern {
 public:
  // Throws Error(config) for a set or an escape that does not end.
  PathPattern(std::string_view text, bool double_star);

  // All of the path. Time: the product of the lengths.
  [[nodiscard]] bool matches(std::string_view path) const;
  // Whether it is other than the path that is written.
  [[nodiscard]] bool has_wildcards() const noexcept;

 private:
  enum class Kind { one, star, folders, all };
  struct Token {
    Kind kind;
    std::bitset<256> set; // of one
  };
  std::size_t read_set(std::string_view text, std::size_t at);

  std::string text_;
  std::vector<Token> tokens_;
};

} // namespace mlp::image
