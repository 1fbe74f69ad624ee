// Patterns of .mlpignore as .gitignore has them.
#include "core/data/ignore.hpp"

#include <catch2/catch.hpp>

using namespace mlp::data;

namespace {

// Whether a root with these patterns ignores a path ("a/b", "a/b/" for a folder) as a walk sees it:
// folder by folder from the root.
bool ignored(const std::string& patterns, std::string path) {
  const bool folder = path.ends_with('/');
  if (folder) path.pop_back();
  IgnoreRules rules;
  rules.enter("", parse_ignore(patterns));
  for (;;) {
    const std::size_t slash = path.find('/');
    const std::string name = path.substr(0, slash);
    if (slash == std::string::npos) return rules.ignores(name, folder);
    if (rules.ignores(name, true)) return true;
    rules.enter(name, {});
    path.erase(0, slash + 1);
  }
}

} // namespace

TEST_CASE("components match stars, sets and escapes") {
  CHECK(matches_component("*.txt", "a.txt"));
  CHECK(matches_component("*", ""));
  CHECK(matches_component("a*b*c", "a__b__bc"));
  CHECK_FALSE(matches_component("a*b*c", "a__b__bd"));
  CHECK(matches_component("?", "x"));
  CHECK_FALSE(matches_component("?", ""));
  CHECK(matches_component("[a-c]x", "bx"));
  CHECK_FALSE(matches_component("[!a-c]x", "bx"));
  CHECK(matches_component("[]x]", "]"));
  CHECK(matches_component("[a-]", "-"));
  CHECK(matches_component("[ab", "[ab"));
  CHECK(matches_component("\\*", "*"));
  CHECK_FALSE(matches_component("\\*", "x"));
  // What takes others for ever.
  CHECK_FALSE(matches_component("*a*a*a*a*a*a*a*a*a*b", std::string(255, 'a')));
}

TEST_CASE("patterns without a slash match at any depth, others from their folder on") {
  CHECK(ignored("*.tmp", "a.tmp"));
  CHECK(ignored("*.tmp", "x/y/a.tmp"));
  CHECK(ignored("/a.tmp", "a.tmp"));
  CHECK_FALSE(ignored("/a.tmp", "x/a.tmp"));
  CHECK(ignored("x/a", "x/a"));
  CHECK_FALSE(ignored("x/a", "y/x/a"));
  CHECK(ignored("cache/", "cache/"));
  CHECK(ignored("cache/", "x/cache/file"));
  CHECK_FALSE(ignored("cache/", "cache"));
}

TEST_CASE("two stars stand for any number of folders") {
  CHECK(ignored("**/a", "a"));
  CHECK(ignored("**/a", "x/y/a"));
  CHECK(ignored("x/**/a", "x/a"));
  CHECK(ignored("x/**/a", "x/1/2/3/a"));
  CHECK_FALSE(ignored("x/**/a", "y/x/a"));
  CHECK(ignored("x/**", "x/anything/below"));
  CHECK_FALSE(ignored("x/**", "x/"));
  CHECK(ignored("a/**/b/**/c", "a/b/1/b/2/c"));
}

TEST_CASE("the last pattern that matches decides, but not within an ignored folder") {
  CHECK_FALSE(ignored("*.csv\n!keep.csv", "keep.csv"));
  CHECK(ignored("!keep.csv\n*.csv", "keep.csv"));
  CHECK(ignored("x/\n!x/keep", "x/keep"));
  CHECK_FALSE(ignored("x/*\n!x/keep", "x/keep"));
}

TEST_CASE("comments, blanks and escapes are read as git reads them") {
  CHECK_FALSE(ignored("# a\n\n   \n!\n/\n", "a"));
  CHECK(ignored("\\#a", "#a"));
  CHECK(ignored("\\!a", "!a"));
  CHECK(ignored("a   \r\nb", "a"));
  CHECK(ignored("a\\ ", "a "));
}

TEST_CASE("a deeper file goes before a higher one") {
  IgnoreRules rules;
  rules.enter("", parse_ignore("*.log\n"));
  CHECK(rules.ignores("a.log", false));
  rules.enter("sub", parse_ignore("!a.log\n/b\n"));
  CHECK_FALSE(rules.ignores("a.log", false));
  CHECK(rules.ignores("c.log", false));
  CHECK(rules.ignores("b", false));
  rules.enter("deep", {});
  CHECK_FALSE(rules.ignores("b", false));
  rules.leave();
  rules.leave();
  CHECK(rules.ignores("a.log", false));
  CHECK_FALSE(rules.ignores("b", false));
}
