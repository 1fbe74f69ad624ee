// New projects: nothing of the owner's is replaced, and an interrupted call is completed.
#include "core/base/error.hpp"
#include "core/config/project_file.hpp"
#include "core/config/scaffold.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::config;

TEST_CASE("a project is found from any folder below it") {
  const TemporaryDirectory folder;
  const fs::path root = fs::canonical(folder.path());
  write_file_atomic(root / "mlp.yaml", "name: a\n");
  make_directories(root / "a/b/c");
  CHECK(find_project(root / "a/b/c").root == root);
  CHECK(find_project(root).file() == root / "mlp.yaml");
  fs::create_directory_symlink(root / "a", root / "link");
  CHECK(find_project(root / "link/b").root == root);
  fs::remove(root / "mlp.yaml");
  try {
    static_cast<void>(find_project(root / "a"));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.message() == "no mlp.yaml here or above");
    CHECK(error.hints().front() == "make one with: mlp init");
  }
}

TEST_CASE("each template makes a project that can be read, under the given name") {
  for (const ProjectTemplate& one : project_templates()) {
    INFO(one.name);
    const TemporaryDirectory folder;
    const ScaffoldResult made =
        make_project({.folder = folder.path() / "new", .name = "mine", .from = &one});
    CHECK(made.created.size() == one.files.size());
    CHECK(made.created.back() == "mlp.yaml");
    const ProjectFile file = load_project_file(made.project.file());
    CHECK(file.name == "mine");
    for (const Named<DatasetEntry>& dataset : file.datasets)
      CHECK(fs::exists(made.project.root / dataset.value.path));
    CHECK(fs::is_directory(made.project.runs()));
    CHECK(made.ignore_file.empty()); // no git here
  }
}

TEST_CASE("a folder's own name becomes the project's, made valid") {
  const TemporaryDirectory folder;
  CHECK(make_project({.folder = folder.path() / "my project!"}).name == "my-project-");
  CHECK(make_project({.folder = folder.path() / "__"}).name == "project");
  CHECK(make_project({.folder = folder.path() / "on"}).name == "on");
  CHECK(load_project_file(folder.path() / "on/mlp.yaml").name == "on");
  CHECK_THROWS_WITH(make_project({.folder = folder.path(), .name = "a/b"}),
                    "'a/b' is not a valid name");
}

TEST_CASE("files that are there are named, and nothing is written") {
  const TemporaryDirectory folder;
  const fs::path root = fs::canonical(folder.path());
  write_file_atomic(root / "README.md", "mine\n");
  write_file_atomic(root / "train.sh", "mine\n");
  CHECK_THROWS_WITH(make_project({.folder = root, .from = find_template("custom")}),
                    "'" + root.native() + "' already has: README.md, train.sh");
  CHECK_FALSE(fs::exists(root / "mlp.yaml"));
  CHECK_FALSE(fs::exists(root / "data"));
  CHECK(read_file(root / "README.md") == "mine\n");
}

TEST_CASE("an interrupted call is completed by the same call") {
  const TemporaryDirectory folder;
  const NewProject wanted{.folder = folder.path(), .name = "a", .from = find_template("custom")};
  const ScaffoldResult first = make_project(wanted);
  fs::remove(first.project.file());
  fs::remove(first.project.root / "train.sh");
  const ScaffoldResult second = make_project(wanted);
  CHECK(second.created == std::vector<std::string>{"train.sh", "mlp.yaml"});
  CHECK(make_project(wanted).created.empty());
}

TEST_CASE("a project that is there stays as it is") {
  const TemporaryDirectory folder;
  write_file_atomic(folder.path() / "mlp.yaml", "# mine\nname: a\n");
  const ScaffoldResult made = make_project({.folder = folder.path()});
  CHECK(made.existed);
  CHECK(made.name == "a");
  CHECK(read_file(folder.path() / "mlp.yaml") == "# mine\nname: a\n");
  CHECK_THROWS_AS(make_project({.folder = folder.path(), .name = "b"}), Error);
}

TEST_CASE("in a git work tree the state is ignored, once, and the rest of the file stays") {
  const TemporaryDirectory folder;
  const fs::path root = fs::canonical(folder.path());
  make_directories(root / ".git");
  write_file_atomic(root / ".gitignore", "*.o\nbuild"); // no line end at the end
  CHECK(find_work_tree(root / "sub/deeper") == root);
  CHECK(make_project({.folder = root}).ignore_file == root / ".gitignore");
  CHECK(read_file(root / ".gitignore") == "*.o\nbuild\n.mlp/\n");
  CHECK(make_project({.folder = root}).ignore_file.empty());
  CHECK(read_file(root / ".gitignore") == "*.o\nbuild\n.mlp/\n");
  // A linked work tree has a file named .git.
  make_directories(root / "linked");
  write_file_atomic(root / "linked/.git", "gitdir: elsewhere\n");
  CHECK(make_project({.folder = root / "linked"}).ignore_file == root / "linked/.gitignore");
  for (const char* pattern : {".mlp\n", "/.mlp/\r\n", "  .mlp/  \n"}) {
    write_file_atomic(root / ".gitignore", pattern);
    CHECK(make_project({.folder = root}).ignore_file.empty());
  }
}
