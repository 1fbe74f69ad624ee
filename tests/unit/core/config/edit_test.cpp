// Edits of mlp.yaml: what the owner wrote stays, byte for byte.
#include "core/base/error.hpp"
#include "core/config/edit.hpp"
#include "core/config/project_file.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

using namespace mlp;
using namespace mlp::config;

namespace {

std::string add(const std::string& text, std::string_view section, std::string_view name,
                std::string_view value) {
  return add_mapping_entry(text, "mlp.yaml", section, name, value);
}
std::string remove(const std::string& text, std::string_view section, std::string_view name) {
  return remove_mapping_entry(text, "mlp.yaml", section, name);
}

struct Case {
  const char* before;
  const char* after;
};

} // namespace

TEST_CASE("edit: an entry is added where its owner would put it") {
  const Case cases[] = {
      {"name: a\n", "name: a\ndatasets:\n  d: {path: x}\n"},
      {"name: a", "name: a\ndatasets:\n  d: {path: x}\n"},
      {"# only a comment\n", "# only a comment\ndatasets:\n  d: {path: x}\n"},
      {"name: a\ndatasets:\n  c: {path: y} # why\n\n# tasks\ntasks: {}\n",
       "name: a\ndatasets:\n  c: {path: y} # why\n  d: {path: x}\n\n# tasks\ntasks: {}\n"},
      {"datasets:\n    c:\n        path: y\n    # the end\n\nname: a\n",
       "datasets:\n    c:\n        path: y\n    # the end\n    d: {path: x}\n\nname: a\n"},
      {"name: a\ndatasets:\n", "name: a\ndatasets:\n  d: {path: x}\n"},
      {"name: a\ndatasets: # none yet\ntasks:\n    t: {}\n",
       "name: a\ndatasets: # none yet\n    d: {path: x}\ntasks:\n    t: {}\n"},
      {"name: a\ndatasets: {}\n", "name: a\ndatasets: {d: {path: x}}\n"},
      {"name: a\ndatasets: {c: {path: '}'}} # c\n",
       "name: a\ndatasets: {c: {path: '}'}, d: {path: x}} # c\n"},
      {"name: a\ndatasets: {\n  c: {path: y},\n}\n",
       "name: a\ndatasets: {\n  c: {path: y}, d: {path: x}\n}\n"},
      {"name: a\r\ndatasets:\r\n  c: {path: y}\r\n",
       "name: a\r\ndatasets:\r\n  c: {path: y}\r\n  d: {path: x}\r\n"},
      {"datasets:\n  c:\n    path: |-\n      y\n\nname: a\n",
       "datasets:\n  c:\n    path: |-\n      y\n  d: {path: x}\n\nname: a\n"},
      {"name: ä\ndatasets: {ü: {path: ö}}\n", "name: ä\ndatasets: {ü: {path: ö}, d: {path: x}}\n"},
  };
  for (const Case& one : cases) {
    INFO(one.before);
    CHECK(add(one.before, "datasets", "d", "{path: x}") == one.after);
  }
}

TEST_CASE("edit: an entry is removed with its lines, and the comments around it stay") {
  const Case cases[] = {
      {"name: a\nremotes:\n  r: u\n", "name: a\n"},
      {"name: a\nremotes:\n  # ours\n  r: u\n", "name: a\nremotes:\n  # ours\n"},
      {"remotes:\n  q: v\n  r: u # gone\n  # about s\n  s: w\nname: a\n",
       "remotes:\n  q: v\n  # about s\n  s: w\nname: a\n"},
      {"remotes:\n  r:\n    deep: 1\n    # inside\n    more: 2\n\n  s: w\n",
       "remotes:\n\n  s: w\n"},
      {"remotes:\n  q: v\n  r: u\n\n# tasks\nname: a\n", "remotes:\n  q: v\n\n# tasks\nname: a\n"},
      {"remotes: {r: u}\n", "remotes: {}\n"},
      {"remotes: {r: u, s: w}\n", "remotes: {s: w}\n"},
      {"remotes: {q: v, r: u}\n", "remotes: {q: v}\n"},
      {"remotes: {q: v, r: 'a, }', s: w}\n", "remotes: {q: v, s: w}\n"},
  };
  for (const Case& one : cases) {
    INFO(one.before);
    CHECK(remove(one.before, "remotes", "r") == one.after);
  }
}

TEST_CASE("edit: the same entry again changes nothing, another value is a conflict") {
  const std::string text = "name: a\nremotes: {r: 'file:x'}\n";
  CHECK(add(text, "remotes", "r", "file:x") == text);
  CHECK_THROWS_WITH(add(text, "remotes", "r", "file:y"),
                    "'mlp.yaml' has another 'remotes.r' at line 2");
}

TEST_CASE("edit: what cannot be edited safely is refused with what to do by hand") {
  const std::string refused[] = {
      "datasets: &d\n  c: {path: y}\nother: *d\n", // the alias would change too
      "{name: a, datasets: {}}\n",
      "name: a\n...\n",
  };
  for (const std::string& text : refused) {
    INFO(text);
    CHECK_THROWS_AS(add(text, "datasets", "d", "{path: x}"), Error);
  }
  try {
    static_cast<void>(add("name: a\n...\n", "datasets", "d", "{path: x}"));
  } catch (const Error& error) {
    CHECK(error.message() == "cannot edit 'mlp.yaml' safely as it is written");
    CHECK(error.hints() ==
          std::vector<std::string>{"add this under 'datasets:' by hand: d: {path: x}"});
  }
  CHECK_THROWS_WITH(remove("remotes: {orgin: u}\n", "remotes", "origin"),
                    "no 'origin' under 'remotes' in mlp.yaml");
}

TEST_CASE("edit: a project file is edited in place, keeps its mode, and stays a valid one") {
  const TemporaryDirectory folder;
  const Project project{fs::canonical(folder.path())};
  write_file_atomic(project.file(),
                    "# mine\nname: a\ndatasets:\n  d: {path: x}\ntasks:\n  t: {data: [d]}\n", 0640);
  CHECK(add_remote(project, "origin", "file:../my store"));
  CHECK_FALSE(add_remote(project, "origin", "file:../my store"));
  CHECK(add_dataset(project, "e", "data/e.csv"));
  const ProjectFile file = load_project_file(project.file());
  CHECK(file.remote("origin") == "file:../my store");
  CHECK(file.dataset("e").path == "data/e.csv");
  struct ::stat info {};
  REQUIRE(::stat(project.file().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0640);

  const std::string before = read_file(project.file());
  CHECK_THROWS_WITH(remove_dataset(project, "d"), Catch::EndsWith("no dataset 'd'")); // t needs it
  CHECK_THROWS_WITH(add_dataset(project, "../up", "x"), Catch::Contains("not a valid name"));
  CHECK_THROWS_WITH(remove_remote(project, "orign"), "no 'orign' under 'remotes' in mlp.yaml");
  CHECK(read_file(project.file()) == before);
  remove_remote(project, "origin");
  remove_dataset(project, "e");
  CHECK(read_file(project.file()) ==
        "# mine\nname: a\ndatasets:\n  d: {path: x}\ntasks:\n  t: {data: [d]}\n");
}

TEST_CASE("edit: an mlp.yaml that is a symlink stays one") {
  const TemporaryDirectory folder;
  const Project project{fs::canonical(folder.path())};
  write_file_atomic(folder.path() / "real.yaml", "name: a\n");
  fs::create_symlink("real.yaml", project.file());
  add_remote(project, "r", "file:x");
  CHECK(fs::is_symlink(project.file()));
  CHECK(read_file(folder.path() / "real.yaml") == "name: a\nremotes:\n  r: file:x\n");
}

TEST_CASE("items of lists are added where the list is, in its style", "[config]") {
  const auto add = [](const std::string& text, std::string_view item) {
    return add_list_item(text, "mlp.yaml", "image", "python_packages", item);
  };
  CHECK(add("name: t\n", "numpy") == "name: t\nimage:\n  python_packages: [numpy]\n");
  CHECK(add("name: t\nimage:\n  base: x # why\n", "numpy") ==
        "name: t\nimage:\n  base: x # why\n  python_packages: [numpy]\n");
  CHECK(add("name: t\nimage: {base: x}\n", "a<2") ==
        "name: t\nimage: {base: x, python_packages: [\"a<2\"]}\n");
  CHECK(add("image:\n  python_packages: [a, 'b, c']  # two\nname: t\n", "d") ==
        "image:\n  python_packages: [a, 'b, c', d]  # two\nname: t\n");
  CHECK(add("image:\n  python_packages: []\nname: t\n", "d") ==
        "image:\n  python_packages: [d]\nname: t\n");
  CHECK(
      add("image:\n  python_packages:\n    - a # first\n    # between\n    - b\nname: t\n", "c") ==
      "image:\n  python_packages:\n    - a # first\n    # between\n    - b\n    - c\nname: t\n");
  CHECK(add("image:\n  python_packages:\n  - a", "b") ==
        "image:\n  python_packages:\n  - a\n  - b\n");
  // There already: nothing changes, quoted or not.
  const std::string known = "image: {python_packages: ['a']}\n";
  CHECK(add(known, "a") == known);
  CHECK_THROWS_AS(add("image: {python_packages: {a: b}}\n", "c"), Error);
  CHECK_THROWS_AS(add("image: 7\n", "c"), Error);
}

TEST_CASE("items of lists are removed, and a list with its last one", "[config]") {
  const auto remove = [](const std::string& text, std::string_view item) {
    return remove_list_item(text, "mlp.yaml", "image", "python_packages", item);
  };
  CHECK(remove("image:\n  python_packages: [a, b, c]\n  base: x\n", "b") ==
        "image:\n  python_packages: [a, c]\n  base: x\n");
  CHECK(remove("image:\n  python_packages: [a, b]\n", "b") == "image:\n  python_packages: [a]\n");
  CHECK(remove("image:\n  python_packages: [a, b]\n", "a") == "image:\n  python_packages: [b]\n");
  CHECK(remove("image:\n  python_packages:\n    - a # first\n    - b\n", "a") ==
        "image:\n  python_packages:\n    - b\n");
  CHECK(remove("image:\n  base: x\n  python_packages: [a]\n", "a") == "image:\n  base: x\n");
  CHECK_THROWS_AS(remove("image: {python_packages: [numpy]}\n", "nunpy"), Error);
  CHECK_THROWS_AS(remove("name: t\n", "a"), Error);
}
