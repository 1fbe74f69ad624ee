// What a shell is offered, word by word.
#include "cli/completers.hpp"
#include "cli/session.hpp"
#include "core/base/text.hpp"

#include <catch2/catch.hpp>

using namespace mlp;

namespace {

std::string offered(const std::vector<std::string>& words) {
  Output output({});
  Session session({}, output);
  std::vector<std::string> values;
  for (const Candidate& candidate : complete_line(session, words))
    values.push_back(candidate.value);
  return join(values, " ");
}

} // namespace

TEST_CASE("commands, then verbs, then arguments are offered") {
  CHECK(offered({"vers"}) == "version");
  CHECK(offered({"data", "pus"}) == "push");
  CHECK(offered({"completion", ""}) == "bash zsh fish");
  CHECK(offered({"completion", "z"}) == "zsh");
  CHECK(offered({"completion", "bash", ""}).empty()); // it takes one
  CHECK(offered({"nonsense", ""}).empty());
  CHECK(offered({""}).find("__") == std::string::npos);
  CHECK(offered({}).empty());
}

TEST_CASE("options are offered where one is begun, and the values of those that have any") {
  CHECK(offered({"--js"}) == "--json");
  CHECK(offered({"version", "--no"}) == "--no-progress");
  CHECK(offered({"version", "-C", ""}) == ":directories");
  CHECK(offered({"-C", ""}) == ":directories");
  CHECK(offered({"--directory=a"}) == ":directories");
  CHECK(offered({"version", "--directory="}) == ":directories");
  CHECK(offered({"-C", "/", "vers"}) == "version");
  CHECK(offered({"-q", "--json", "completion", "f"}) == "fish");
}

TEST_CASE("after -- words are arguments, and an option's value is no argument") {
  CHECK(offered({"completion", "--", "b"}) == "bash");
  CHECK(offered({"completion", "-C", "/", "b"}) == "bash");
  CHECK(offered({"completion", "-C/", "b"}) == "bash");
  CHECK(offered({"completion", "--", "--js"}).empty());
}
