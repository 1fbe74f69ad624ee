// What git says about the source of a run.
#include "core/base/fs.hpp"
#include "core/base/process.hpp"
#include "core/track/source_state.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::track;

namespace {
// False if git is not installed.
bool git(const fs::path& folder, std::vector<std::string> arguments) {
  ProcessSpec spec;
  spec.arguments = {"git",
                    "-c",
                    "user.name=t",
                    "-c",
                    "user.email=t@localhost",
                    "-c",
                    "init.defaultBranch=main",
                    "-c",
                    "commit.gpgsign=false"};
  spec.arguments.insert(spec.arguments.end(), arguments.begin(), arguments.end());
  spec.directory = folder;
  return Process::spawn(spec).wait().code == 0;
}
} // namespace

TEST_CASE("outside git there is no source state", "[track]") {
  TemporaryDirectory folder;
  CHECK_FALSE(source_state(folder.path()));
  fs::create_directory(folder.path() / ".git"); // no repository
  CHECK_FALSE(source_state(folder.path()));
}

TEST_CASE("commit, branch and uncommitted changes of a work tree", "[track]") {
  TemporaryDirectory folder;
  const fs::path root = folder.path();
  REQUIRE(git(root, {"init", "-q"}));
  CHECK(source_state(root)->commit.empty());
  write_file_atomic(root / ".gitignore", ".mlp/\n");
  write_file_atomic(root / "train.py", "one\n");
  REQUIRE(git(root, {"add", "."}));
  REQUIRE(git(root, {"commit", "-q", "-m", "first"}));

  auto state = source_state(root);
  REQUIRE(state);
  CHECK(state->commit.size() == 40);
  CHECK(state->branch == "main");
  CHECK(state->dirty == false);

  fs::create_directories(root / ".mlp" / "runs");
  write_file_atomic(root / ".mlp" / "runs" / "x", "ignored");
  fs::create_directories(root / "deep" / "er");
  CHECK(source_state(root / "deep" / "er")->dirty == false);

  SECTION("changed") {
    write_file_atomic(root / "train.py", "two, longer\n");
  }
  SECTION("staged") {
    write_file_atomic(root / "train.py", "two, longer\n");
    REQUIRE(git(root, {"add", "."}));
  }
  SECTION("deleted") {
    fs::remove(root / "train.py");
  }
  SECTION("untracked") {
    write_file_atomic(root / "deep" / "new.py", "x");
  }
  CHECK(source_state(root)->dirty == true);

  REQUIRE(git(root, {"checkout", "-q", "--detach"}));
  CHECK(source_state(root)->branch.empty());
}

TEST_CASE("the look for changes ends when its time is over", "[track]") {
  TemporaryDirectory folder;
  REQUIRE(git(folder.path(), {"init", "-q"}));
  for (int i = 0; i < 50; ++i)
    write_file_atomic(folder.path() / ("f" + std::to_string(i)), "x");
  REQUIRE(git(folder.path(), {"add", "."}));
  REQUIRE(git(folder.path(), {"commit", "-q", "-m", "first"}));
  const auto state = source_state(folder.path(), std::chrono::milliseconds(-1));
  REQUIRE(state);
  CHECK_FALSE(state->dirty);
}
