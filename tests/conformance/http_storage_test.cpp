// What an http: remote shows of the file: remote behind it. Needs a static server over the folder
// $MLP_TEST_FOLDER at $MLP_TEST_HTTP (storage_http.sh starts real ones), so it runs only by name.
#include "backends/storage/file/file_storage.hpp"
#include "backends/storage/file/listing.hpp"
#include "backends/storage/http/http_storage.hpp"
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/ids.hpp"
#include "tests/conformance/storage_words.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <cstdlib>
#include <thread>

using namespace mlp;
using data::Storage;
using test::get;
using test::kind_of;
using test::put;

namespace {

// A folder of its own below the served one.
struct Served {
  std::string name = random_token(12);
  std::unique_ptr<Storage> file = storage::open_file_storage(
      net::parse_url("file:" + name), fs::path(std::getenv("MLP_TEST_FOLDER")));
  std::unique_ptr<Storage> http = storage::open_http_storage(
      net::parse_url(std::string(std::getenv("MLP_TEST_HTTP")) + "/" + name), options());

  static net::HttpOptions options() {
    net::HttpOptions options;
    if (const char* file = std::getenv("MLP_CA_FILE")) options.ca_file = file;
    return options;
  }
};

} // namespace

TEST_CASE("http: objects are read whole and in ranges", "[.][http]") {
  Served place;
  put(*place.file, "packs/one.pack", "0123456789");
  put(*place.file, "packs/empty.pack", "");
  Storage& http = *place.http;
  CHECK(get(http, "packs/one.pack", 0, 10) == "0123456789");
  CHECK(get(http, "packs/one.pack", 3, 4) == "3456");
  CHECK(get(http, "packs/one.pack", 8, 10) == "89");
  CHECK(get(http, "packs/one.pack", 10, 5).empty());
  CHECK(get(http, "packs/one.pack", 1u << 30, 5).empty());
  CHECK(get(http, "packs/one.pack", UINT64_MAX - 2, 5).empty());
  CHECK(get(http, "packs/one.pack", 5, 0).empty());
  CHECK(get(http, "packs/empty.pack", 0, 5).empty());
  CHECK(kind_of([&] { (void)get(http, "packs/none", 0, 1); }) == ErrorKind::not_found);
  CHECK(kind_of([&] { (void)get(http, "packs/none", 0, 0); }) == ErrorKind::not_found);
  const std::vector<std::string> names = {"packs/one.pack", "packs/none", "packs/empty.pack"};
  const auto sizes = http.has(names);
  CHECK(sizes[0] == 10u);
  CHECK_FALSE(sizes[1]);
  CHECK(sizes[2] == 0u);
}

TEST_CASE("http: a large object is read by several threads at once", "[.][http]") {
  Served place;
  std::string content(5u << 20, '\0');
  for (std::size_t i = 0; i < content.size(); ++i)
    content[i] = static_cast<char>(i * 11 + i / 253);
  put(*place.file, "packs/large", content);
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 5; ++t)
      threads.emplace_back([&, t] {
        if (get(*place.http, "packs/large", t << 20, 1u << 20) != content.substr(t << 20, 1u << 20))
          ++wrong;
      });
  }
  CHECK(wrong == 0);
}

TEST_CASE("http: what is listed is what the last swap of a ref made known", "[.][http]") {
  Served place;
  CHECK(kind_of([&] { (void)place.http->list("", "", 10); }) == ErrorKind::not_found);
  for (int i = 0; i < 20; ++i)
    put(*place.file, fmt::format("packs/{:02}", i), std::string(static_cast<std::size_t>(i), 'x'));
  REQUIRE(place.file->compare_and_swap("refs/a", std::nullopt, "one").swapped);
  for (const std::size_t limit : {1u, 7u, 100u}) {
    std::vector<std::string> names;
    std::string after;
    for (bool more = true; more;) {
      const auto page = place.http->list("packs/", after, limit);
      for (const auto& object : page.objects) {
        names.push_back(object.name);
        CHECK(object.size == std::stoul(object.name.substr(6)));
      }
      more = page.more;
      if (more) after = names.back();
    }
    CHECK(names.size() == 20);
    CHECK(std::is_sorted(names.begin(), names.end()));
  }
  CHECK(place.http->read_ref("refs/a") == "one");
  CHECK_FALSE(place.http->read_ref("refs/b"));
  CHECK(place.http->list("refs/", "", 5).objects.at(0).name == "refs/a");
  REQUIRE(place.file->compare_and_swap("refs/a", "one", std::nullopt).swapped);
  CHECK(place.http->list("refs/", "", 5).objects.empty());
  CHECK_FALSE(place.http->read_ref("refs/a"));
}

TEST_CASE("http: nothing can be written, and bad names are refused", "[.][http]") {
  Served place;
  const std::vector<std::string> names = {"packs/a"};
  CHECK(kind_of([&] { (void)place.http->write("packs/a"); }) == ErrorKind::denied);
  CHECK(kind_of([&] { place.http->remove(names); }) == ErrorKind::denied);
  CHECK(kind_of([&] { (void)place.http->compare_and_swap("refs/a", std::nullopt, "x"); }) ==
        ErrorKind::denied);
  for (const char* name : {"", "../x", "a//b", ".x", "a b", "a?b", "a%2fb"}) {
    INFO(name);
    CHECK_THROWS_AS(get(*place.http, name, 0, 1), Error);
    CHECK_THROWS_AS(place.http->write(name), Error);
  }
}

TEST_CASE("a listing is read back as it was written, and nothing else is taken for one") {
  const std::vector<data::ListedObject> objects = {{"packs/a.pack", 12}, {"refs/x", 0}};
  const std::string text = storage::format_listing(objects);
  CHECK(text == "12 packs/a.pack\n0 refs/x\n");
  const auto again = storage::parse_listing(text, "here");
  REQUIRE(again.size() == 2);
  CHECK(again[0].name == "packs/a.pack");
  CHECK(again[0].size == 12);
  CHECK(storage::parse_listing("", "here").empty());
  for (const char* bad : {"<html>\n", "12 packs/a", "12 ../x\n", "12\n", "-1 a\n", "1 b\n1 a\n",
                          "1 a\n1 a\n", "99999999999999999999 a\n"}) {
    INFO(bad);
    CHECK(kind_of([&] { (void)storage::parse_listing(bad, "here"); }) == ErrorKind::integrity);
  }
}

TEST_CASE("a file: remote does not list its listing, and keeps it true") {
  const TemporaryDirectory folder;
  const auto file = storage::open_file_storage(net::parse_url("file:r"), folder.path());
  put(*file, "packs/a", "a");
  REQUIRE(file->compare_and_swap("refs/x", std::nullopt, "12345").swapped);
  CHECK(read_file(folder.path() / "r/listing.txt") == "1 packs/a\n5 refs/x\n");
  const auto page = file->list("", "", 10);
  REQUIRE(page.objects.size() == 2);
  REQUIRE(file->compare_and_swap("refs/x", "12345", std::nullopt).swapped);
  CHECK(read_file(folder.path() / "r/listing.txt") == "1 packs/a\n");
}

TEST_CASE("an http: URL with credentials, a query or no host is refused") {
  for (const char* url : {"http://user:secret@host/x", "https://user@host", "http://host/x?y=1",
                          "http://host/x#y", "http:///x", "http:x"}) {
    INFO(url);
    try {
      (void)storage::open_http_storage(net::parse_url(url), {});
      FAIL("it was taken");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      CHECK(error.message().find("secret") == std::string::npos);
    }
  }
}
