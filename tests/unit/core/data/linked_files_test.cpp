// Files in the cache and links to them, from many threads and with edits between.
#include "core/base/error.hpp"
#include "core/data/linked_files.hpp"
#include "tests/unit/core/data/testing.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include <atomic>
#include <thread>

using namespace mlp;
using namespace mlp::data;

namespace {

struct stat stat_of(const fs::path& path) {
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info;
}

struct Links {
  TemporaryDirectory folder{"mlp-links-"};
  std::string text = test::noise_text(50'000, 1);
  Entry entry{EntryType::file, "file", {text.size(), 0, {{sha256(bytes_of(text)), text.size()}}}};
  std::atomic<int> restored = 0;
  LinkedFiles links{folder.path() / "cache", folder.path(), LinkMode::hardlink};

  FileStat place(const std::string& name) {
    Entry named = entry;
    named.name = name;
    return links.place(
        *Directory::open(folder.path()), named,
        [&](const Directory& here, const Entry& file) {
          ++restored;
          test::write(fs::path(here.path()) / file.name, text);
          return to_file_stat(stat_of(fs::path(here.path()) / file.name));
        },
        [](std::uint64_t) {});
  }
  [[nodiscard]] fs::path path(const std::string& name) const { return folder.path() / name; }
};

} // namespace

TEST_CASE("many threads that place one file all get links to it") {
  Links links;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&links, t] { (void)links.place("file" + std::to_string(t)); });
  }
  const ino_t inode = stat_of(links.path("file0")).st_ino;
  for (int t = 0; t < 8; ++t) {
    const struct stat info = stat_of(links.path("file" + std::to_string(t)));
    CHECK(info.st_ino == inode);
    CHECK(info.st_nlink == 9); // the cache has one too
    CHECK((info.st_mode & 0777) == 0444);
  }
  CHECK(links.restored >= 1);
}

TEST_CASE("a file of the cache that was edited is made anew") {
  Links links;
  (void)links.place("one");
  SECTION("in place") {
    fs::permissions(links.path("one"), fs::perms::owner_all);
    test::write(links.path("one"), std::string(links.text.size(), 'x'));
    fs::permissions(links.path("one"), fs::perms::owner_read);
  }
  SECTION("made longer") {
    fs::permissions(links.path("one"), fs::perms::owner_all);
    test::write(links.path("one"), links.text + "more");
  }
  SECTION("given the right to be written") {
    fs::permissions(links.path("one"), fs::perms::owner_all);
  }
  (void)links.place("two");
  CHECK(links.restored == 2);
  CHECK(read_file(links.path("two")) == links.text);
  CHECK(stat_of(links.path("one")).st_ino != stat_of(links.path("two")).st_ino);
}

TEST_CASE("a link elsewhere does not make a linked file look edited, an edit does") {
  Links links;
  const FileStat before = links.place("one");
  (void)links.place("two");
  CHECK(to_file_stat(stat_of(links.path("one"))) == before);
  CHECK(links.restored == 1);
  fs::permissions(links.path("one"), fs::perms::owner_all);
  CHECK(to_file_stat(stat_of(links.path("two"))) != before);
}

TEST_CASE("placing over a link to the same file leaves nothing behind") {
  Links links;
  (void)links.place("one");
  (void)links.place("one");
  std::size_t files = 0;
  for (const auto& item : fs::directory_iterator(links.folder.path()))
    files += item.is_regular_file() ? 1 : 0;
  CHECK(files == 1);
}

TEST_CASE("links are refused, with the reason, where they cannot be made") {
  const TemporaryDirectory folder("mlp-links-");
  CHECK(LinkedFiles(folder.path() / "a", folder.path(), LinkMode::copy).mode() == LinkMode::copy);
  CHECK_THROWS_AS(LinkedFiles(folder.path() / "a", "/proc", LinkMode::hardlink), Error);
  CHECK(LinkedFiles(folder.path() / "a", "/proc", LinkMode::automatic).mode() == LinkMode::copy);
}
