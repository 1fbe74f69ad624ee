// The promises of core/data/storage.hpp, held against every implementation. A new backend adds one
// line to the table of makers.
#include "backends/storage/file/file_storage.hpp"
#include "backends/storage/s3/s3_storage.hpp"
#include "backends/storage/ssh/ssh_storage.hpp"
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/ids.hpp"
#include "tests/conformance/memory_storage.hpp"
#include "tests/conformance/storage_words.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <thread>

using namespace mlp;
using data::Storage;
using test::bytes_of;
using test::get;
using test::kind_of;
using test::put;

namespace {

// A place that lives as long as the test, and ways to open it again.
struct Place {
  std::string name;
  std::unique_ptr<TemporaryDirectory> folder;
  std::function<std::unique_ptr<Storage>()> open;
  bool shared_by_processes = false;
  bool remote = false;
  bool cleans_up = false; // after a writer that died, by itself
};

Place memory_place() {
  return {"memory", nullptr, [] { return std::make_unique<test::MemoryStorage>(); }, false};
}

Place file_place() {
  auto folder = std::make_unique<TemporaryDirectory>("mlp-storage-");
  const fs::path path = folder->path();
  return {"file", std::move(folder),
          [path] { return storage::open_file_storage(net::parse_url("file:team%20store"), path); },
          true};
}

// A prefix of its own in the bucket of $MLP_TEST_S3, a URL without a prefix; storage_s3.sh sets it.
Place s3_place() {
  const net::Url base = net::parse_url(std::getenv("MLP_TEST_S3"));
  net::Url url = base;
  url.path = "/" + random_token(12);
  return {"s3", nullptr,
          [url] {
            net::HttpOptions options;
            if (const char* file = std::getenv("MLP_CA_FILE")) options.ca_file = file;
            return storage::open_s3_storage(url, options,
                                            [](const char* name) { return std::getenv(name); });
          },
          true, true};
}

// A folder of its own below the ssh: URL $MLP_TEST_SSH, whose path is here too; storage_ssh.sh sets
// it.
Place ssh_place() {
  net::Url url = net::parse_url(std::getenv("MLP_TEST_SSH"));
  url.path += "/" + random_token(12);
  return {"ssh",
          nullptr,
          [url] {
            return storage::open_ssh_storage(
                url, {.command = std::getenv("MLP_SSH_COMMAND"),
                      .remote_program = std::getenv("MLP_SSH_REMOTE_PROGRAM")});
          },
          true,
          true,
          true};
}

Place make_place() {
  if (std::getenv("MLP_TEST_SSH") != nullptr) return ssh_place();
  if (std::getenv("MLP_TEST_S3") != nullptr) return s3_place();
  const int which = GENERATE(0, 1);
  return which == 0 ? memory_place() : file_place();
}

std::vector<std::string> names_of(Storage& storage, std::string_view prefix, std::size_t limit) {
  std::vector<std::string> names;
  std::string after;
  while (true) {
    const data::ListPage page = storage.list(prefix, after, limit);
    REQUIRE(page.objects.size() <= limit);
    for (const auto& object : page.objects)
      names.push_back(object.name);
    if (!page.more) return names;
    REQUIRE_FALSE(page.objects.empty());
    after = page.objects.back().name;
  }
}

} // namespace

TEST_CASE("a place that was never written to is empty, not broken") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  const std::vector<std::string> names = {"packs/a.pack"};
  CHECK_FALSE(storage->has(names)[0]);
  CHECK(storage->list("", "", 10).objects.empty());
  CHECK_FALSE(storage->read_ref("refs/a"));
  CHECK(kind_of([&] { (void)get(*storage, "packs/a.pack", 0, 1); }) == ErrorKind::not_found);
  CHECK_NOTHROW(storage->remove(names));
}

TEST_CASE("an object is read back, whole and in ranges, also beyond its end") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  put(*storage, "packs/one.pack", "0123456789");
  CHECK(get(*storage, "packs/one.pack", 0, 10) == "0123456789");
  CHECK(get(*storage, "packs/one.pack", 3, 4) == "3456");
  CHECK(get(*storage, "packs/one.pack", 8, 10) == "89");
  CHECK(get(*storage, "packs/one.pack", 10, 5).empty());
  CHECK(get(*storage, "packs/one.pack", 1u << 30, 5).empty());
  CHECK(get(*storage, "packs/one.pack", UINT64_MAX - 2, 5).empty());
  CHECK(get(*storage, "packs/one.pack", 5, 0).empty());
  CHECK(data::read_object(*storage, "packs/one.pack", 10) == "0123456789");
  CHECK_THROWS_AS(data::read_object(*storage, "packs/one.pack", 9), Error);
  put(*storage, "packs/empty.pack", "");
  const std::vector<std::string> names = {"packs/empty.pack", "packs/none", "packs/one.pack"};
  const auto sizes = storage->has(names);
  CHECK(sizes[0] == 0u);
  CHECK_FALSE(sizes[1]);
  CHECK(sizes[2] == 10u);
}

TEST_CASE("nothing of an object is seen before its commit, nor after a writer is abandoned") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  const std::vector<std::string> names = {"packs/x"};
  {
    auto writer = storage->write("packs/x");
    writer->append(bytes_of(std::string(100000, 'x')));
    CHECK_FALSE(storage->has(names)[0]);
    CHECK(storage->list("", "", 10).objects.empty());
    CHECK(kind_of([&] { (void)get(*storage, "packs/x", 0, 1); }) == ErrorKind::not_found);
  }
  CHECK(storage->list("", "", 10).objects.empty());
  put(*storage, "packs/x", "old");
  {
    auto writer = storage->write("packs/x");
    writer->append(bytes_of("new content"));
  }
  CHECK(get(*storage, "packs/x", 0, 20) == "old");
}

TEST_CASE("writing an object again replaces it in one step") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  put(*storage, "packs/x", "first");
  auto a = storage->write("packs/x");
  auto b = storage->write("packs/x");
  a->append(bytes_of("from a"));
  b->append(bytes_of("from b, longer"));
  b->commit();
  a->commit();
  CHECK(get(*storage, "packs/x", 0, 100) == "from a");
}

TEST_CASE("a large object is written in a stream") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  auto writer = storage->write("packs/large");
  std::string block(1u << 20, '\0');
  for (int i = 0; i < 20; ++i) {
    std::fill(block.begin(), block.end(), static_cast<char>('a' + i));
    writer->append(bytes_of(block));
  }
  writer->commit();
  CHECK(get(*storage, "packs/large", (5u << 20) - 1, 2) == "ef");
  CHECK(get(*storage, "packs/large", (20u << 20) - 1, 2) == "t");
}

TEST_CASE("names that would leave the place, or not work everywhere, are refused by every method") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  const std::vector<std::string> bad = {"",
                                        "/etc/passwd",
                                        "..",
                                        "../x",
                                        "a/../b",
                                        "a//b",
                                        "a/",
                                        "./a",
                                        ".hidden",
                                        "a/.hidden",
                                        "a\\b",
                                        "a b",
                                        "a\nb",
                                        "a:b",
                                        std::string("a\0b", 3),
                                        "\xc3\xa9",
                                        std::string(513, 'a')};
  for (const auto& name : bad) {
    INFO(name);
    const std::vector<std::string> names = {name};
    CHECK_THROWS_AS(storage->has(names), Error);
    CHECK_THROWS_AS(get(*storage, name, 0, 1), Error);
    CHECK_THROWS_AS(storage->write(name), Error);
    CHECK_THROWS_AS(storage->remove(names), Error);
    CHECK_THROWS_AS(storage->read_ref("refs/" + name), Error);
    CHECK_THROWS_AS(storage->compare_and_swap("refs/" + name, std::nullopt, "x"), Error);
  }
  CHECK_THROWS_AS(storage->write("refs/x"), Error);
  CHECK_THROWS_AS(storage->compare_and_swap("packs/x", std::nullopt, "x"), Error);
  CHECK_THROWS_AS(storage->read_ref("packs/x"), Error);
  CHECK(storage->list("", "", 10).objects.empty());
}

TEST_CASE("a list gives every name once, in byte order, whatever the size of its pages") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  std::vector<std::string> names = {"a.b",       "a/b",       "a/c/d",     "a0",
                                    "packs/a-b", "packs/a/b", "packs/a.b", "packs/a0",
                                    "z",         "Z",         "_x"};
  for (int i = 0; i < 500; ++i)
    names.push_back(fmt::format("packs/{:03}/{}", i % 7, i));
  for (const auto& name : names)
    put(*storage, name, "x");
  std::sort(names.begin(), names.end());
  // Over a network one name at a time takes minutes.
  for (const std::size_t limit : {place.remote ? 7u : 1u, 30u, 100u, 1000u})
    CHECK(names_of(*storage, "", limit) == names);
  std::vector<std::string> some;
  std::copy_if(names.begin(), names.end(), std::back_inserter(some),
               [](const auto& name) { return name.starts_with("packs/00"); });
  CHECK(names_of(*storage, "packs/00", 7) == some);
  CHECK(names_of(*storage, "packs/003/", 7).size() == 71);
  CHECK(names_of(*storage, "nothing", 7).empty());
  CHECK(storage->list("a", "a/b", 1).objects.at(0).name == "a/c/d");
}

TEST_CASE("removed objects are gone, and removing them again is no error") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  put(*storage, "packs/a", "a");
  put(*storage, "packs/b", "b");
  const std::vector<std::string> names = {"packs/none", "packs/a"};
  storage->remove(names);
  storage->remove(names);
  CHECK_FALSE(storage->has(names)[1]);
  CHECK(names_of(*storage, "", 10) == std::vector<std::string>{"packs/b"});
}

TEST_CASE("a ref is created, changed and removed only from what it holds") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  const std::string ref = "refs/datasets/digits/latest";
  CHECK_FALSE(storage->compare_and_swap(ref, "something", "x").swapped);
  CHECK(storage->compare_and_swap(ref, std::nullopt, "one").swapped);
  CHECK(storage->read_ref(ref) == "one");
  const auto lost = storage->compare_and_swap(ref, std::nullopt, "two");
  CHECK_FALSE(lost.swapped);
  CHECK(lost.current == "one");
  CHECK(storage->compare_and_swap(ref, "one", "two").swapped);
  CHECK(storage->compare_and_swap(ref, "two", "two").swapped);
  CHECK(storage->compare_and_swap(ref, "two", "").swapped);
  CHECK(storage->read_ref(ref) == "");
  CHECK(names_of(*storage, "refs/", 10) == std::vector<std::string>{ref});
  CHECK(storage->compare_and_swap(ref, "", std::nullopt).swapped);
  CHECK_FALSE(storage->read_ref(ref));
  CHECK_THROWS_AS(storage->compare_and_swap(ref, std::nullopt, std::string(65537, 'x')), Error);
  CHECK(storage->compare_and_swap(ref, std::nullopt, std::string(65536, 'x')).swapped);
  CHECK(storage->read_ref(ref)->size() == 65536);
}

TEST_CASE("of threads that swap from the same value exactly one wins, every time") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  std::optional<std::string> expected;
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> winners = 0;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        const auto mine = fmt::format("round {} thread {}", round, t);
        const auto result = storage->compare_and_swap("refs/r", expected, mine);
        if (result.swapped) ++winners;
        if (result.swapped != (result.current == mine)) winners += 100;
      });
    }
    threads.clear();
    REQUIRE(winners == 1);
    expected = storage->read_ref("refs/r");
  }
}

TEST_CASE("swaps of several processes lose no update") {
  const Place place = make_place();
  INFO(place.name);
  if (!place.shared_by_processes) return;
  const auto storage = place.open();
  constexpr int processes = 4, increments = 25;
  std::vector<pid_t> children;
  for (int p = 0; p < processes; ++p) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      int code = 0;
      try {
        const auto mine = place.open();
        for (int i = 0; i < increments; ++i) {
          auto current = mine->read_ref("refs/count");
          while (true) {
            const auto next = std::to_string(std::stoi(current.value_or("0")) + 1);
            auto result = mine->compare_and_swap("refs/count", current, next);
            if (result.swapped) break;
            current = result.current;
          }
        }
      } catch (...) {
        code = 1;
      }
      ::_exit(code);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  CHECK(storage->read_ref("refs/count") == std::to_string(processes * increments));
}

TEST_CASE("many threads write, list and read at once") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 40; ++i) {
          const auto name = fmt::format("packs/{}-{}", t, i);
          const std::string content(1000 + static_cast<std::size_t>(i), static_cast<char>('a' + t));
          put(*storage, name, content);
          if (get(*storage, name, 0, 5000) != content) ++wrong;
          for (const auto& object : storage->list("packs/", "", 1000).objects)
            if (object.size < 1000) ++wrong;
        }
      });
    }
  }
  CHECK(wrong == 0);
  CHECK(storage->list("packs/", "", 1000).objects.size() == 160);
}

TEST_CASE("what a dead writer left is removed, what a live one writes is not") {
  const Place place = make_place();
  INFO(place.name);
  const auto storage = place.open();
  auto* cleaner = storage->ability<data::AbandonedWrites>();
  if (cleaner == nullptr || !place.shared_by_processes) return;
  auto alive = storage->write("packs/alive");
  alive->append(bytes_of("alive"));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto mine = place.open();
    auto writer = mine->write("packs/dead");
    writer->append(bytes_of("dead"));
    ::_exit(0); // no destructor runs, as with kill -9
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const std::size_t removed = cleaner->remove_abandoned_writes();
  CHECK((removed == 1 || (removed == 0 && place.cleans_up)));
  // Where the other end cleans up, it may have been about to.
  CHECK(cleaner->remove_abandoned_writes() <= (place.cleans_up ? 1 - removed : 0));
  alive->commit();
  CHECK(names_of(*storage, "", 10) == std::vector<std::string>{"packs/alive"});
}

TEST_CASE("a file: remote whose parent folder is missing is not reachable, and is not created") {
  const TemporaryDirectory folder;
  const auto storage =
      storage::open_file_storage(net::parse_url("file:not/mounted"), folder.path());
  CHECK(kind_of([&] { (void)storage->list("", "", 1); }) == ErrorKind::unreachable);
  CHECK(kind_of([&] { put(*storage, "packs/a", "a"); }) == ErrorKind::unreachable);
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a symbolic link in a file: remote is no object") {
  const TemporaryDirectory folder;
  const auto storage = storage::open_file_storage(net::parse_url("file:r"), folder.path());
  put(*storage, "packs/a", "a");
  fs::create_symlink("/etc/passwd", folder.path() / "r/packs/b");
  const std::vector<std::string> names = {"packs/b"};
  CHECK_FALSE(storage->has(names)[0]);
  CHECK(kind_of([&] { (void)get(*storage, "packs/b", 0, 1); }) == ErrorKind::not_found);
  CHECK(names_of(*storage, "", 10) == std::vector<std::string>{"packs/a"});
}

TEST_CASE("a file: URL with more than a folder in it is refused") {
  for (const char* url : {"file://host/x", "file:", "file:///", "file:x?y", "file:x#y",
                          "file://user:secret@localhost/x"}) {
    INFO(url);
    CHECK(kind_of([&] { (void)storage::open_file_storage(net::parse_url(url), "/tmp"); }) ==
          ErrorKind::config);
  }
}
