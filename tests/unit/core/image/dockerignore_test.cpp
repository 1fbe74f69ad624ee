// .dockerignore and COPY's patterns as Docker has them.
#include "core/base/error.hpp"
#include "core/image/dockerignore.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::image;

namespace {

bool matches(std::string_view pattern, std::string_view path, bool double_star = true) {
  return PathPattern(pattern, double_star).matches(path);
}
bool excludes(std::string_view text, std::string_view path) {
  return DockerIgnore(text).excludes(path);
}

} // namespace

TEST_CASE("patterns of paths match components, and ** many of them", "[image]") {
  CHECK(matches("*.txt", "a.txt"));
  CHECK_FALSE(matches("*.txt", "a/b.txt"));
  CHECK(matches("a/*/c", "a/b/c"));
  CHECK_FALSE(matches("a/*/c", "a/b/b/c"));
  CHECK(matches("?", "x"));
  CHECK_FALSE(matches("?", "/"));
  CHECK(matches("[a-c]x", "bx"));
  CHECK_FALSE(matches("[^a-c]x", "bx"));
  CHECK(matches("[!a]", "!"));
  CHECK(matches("[\\]]", "]"));
  CHECK(matches("\\*", "*"));
  CHECK_FALSE(matches("\\*", "a"));
  CHECK(matches("**", "a/b/c"));
  CHECK(matches("**/c", "c"));
  CHECK(matches("**/c", "a/b/c"));
  CHECK_FALSE(matches("**/c", "a/bc"));
  CHECK(matches("a/**", "a/b/c"));
  CHECK_FALSE(matches("a/**", "a"));
  CHECK(matches("a/**/z", "a/z"));
  CHECK(matches("a/**/z", "a/b/c/z"));
  CHECK(matches("**/*.py", "a/b/c.py"));
  CHECK_FALSE(matches("**", "a/b", false));
  CHECK(matches("**", "a", false));
  CHECK(matches("", ""));
  // No pattern takes more than the product of the lengths.
  std::string stars, name(2000, 'a');
  for (int i = 0; i < 500; ++i)
    stars += "**/a*";
  CHECK_FALSE(matches(stars + "b", name));
  CHECK_THROWS_WITH(PathPattern("[a", true), "'[a' is no pattern of paths");
  CHECK_THROWS_WITH(PathPattern("a\\", true), "'a\\' is no pattern of paths");
  CHECK_FALSE(PathPattern("a.b", false).has_wildcards());
  CHECK(PathPattern("a?b", false).has_wildcards());
}

TEST_CASE(".dockerignore leaves out as Docker does", "[image]") {
  const std::string text = "# comment\n"
                           "*/temp*\n"
                           "*/*/temp*\n"
                           "  temp?  \r\n"
                           "/data/\n";
  CHECK(excludes(text, "somedir/temporary.txt"));
  CHECK(excludes(text, "somedir/temp"));
  CHECK(excludes(text, "somedir/sub/temporary.txt"));
  CHECK_FALSE(excludes(text, "a/b/c/temp"));
  CHECK(excludes(text, "tempa"));
  CHECK_FALSE(excludes(text, "temp"));
  CHECK(excludes(text, "data/a/b"));
  CHECK_FALSE(excludes(text, "src/data/a"));
  CHECK(excludes("*.md\n!README.md", "a.md"));
  CHECK_FALSE(excludes("*.md\n!README.md", "README.md"));
  // The last that matches decides.
  CHECK(excludes("*.md\n!README*.md\nREADME-secret.md", "README-secret.md"));
  CHECK_FALSE(excludes("*.md\nREADME-secret.md\n!README*.md", "README-secret.md"));
  // What is in a folder that is left out can be taken back.
  CHECK_FALSE(excludes("*\n!src\n", "src/a/b.py"));
  CHECK(excludes("*\n!src\nsrc/**/*.pyc", "src/a/b.pyc"));
  CHECK(excludes("**/__pycache__", "a/b/__pycache__/c"));
  CHECK(excludes("./a/../b", "b/c"));
  CHECK(excludes("**", "anything/at/all"));
  CHECK(DockerIgnore("a\n!b").takes_back());
  CHECK_FALSE(DockerIgnore("a\nb").takes_back());
  CHECK_THROWS_WITH(DockerIgnore("a\n\n[b"), ".dockerignore:3: '[b' is no pattern of paths");
  CHECK_THROWS_WITH(DockerIgnore("! "), ".dockerignore:1: a '!' has no pattern");
}
