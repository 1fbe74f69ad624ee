// What apt and pip print, and what they should never print.
#include "core/base/error.hpp"
#include "core/image/install.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace mlp;
using namespace mlp::image;
using Catch::Contains;

namespace {
const std::string sum(64, 'a');

std::string uri(std::string_view file, std::string_view digest = "") {
  return fmt::format("'http://user:word@deb.test/pool/{}' {} 53080 {}\n", file, file,
                     digest.empty() ? "SHA256:" + sum : std::string(digest));
}

std::string report(std::string_view download) {
  return fmt::format(
      R"({{"version": "1", "install": [{{"metadata": {{"name": "a", "version": "1"}},
          "download_info": {}}}]}})",
      download);
}
} // namespace

TEST_CASE("apt's list of files is read, and sorted", "[image]") {
  const auto packages =
      parse_print_uris("Reading package lists...\n" + uri("zlib_1%3a1.2.13_amd64.deb") +
                       uri("hello_2.10-3_amd64.deb") + "W: a warning\n");
  REQUIRE(packages.size() == 2);
  CHECK(packages[0].name == "hello");
  CHECK(packages[0].version == "2.10-3");
  CHECK(packages[0].url == "http://deb.test/pool/hello_2.10-3_amd64.deb");
  CHECK(packages[0].bytes == 53080);
  CHECK(packages[0].digest.hex() == sum);
  CHECK(packages[1].version == "1:1.2.13");
  CHECK(parse_print_uris("").empty());
}

TEST_CASE("files without a digest or with a name that leads elsewhere are refused", "[image]") {
  CHECK_THROWS_WITH(parse_print_uris(uri("a_1_all.deb", "MD5Sum:abc")), Contains("SHA-256"));
  CHECK_THROWS_WITH(parse_print_uris(uri("a_1_all.deb", "SHA256:abc")), Contains("SHA-256"));
  for (const char* name :
       {"a.deb", "_1_all.deb", "a_1_all.rpm", "../a_1_all.deb", ".a_1_all.deb", "a_1;rm_all.deb"})
    CHECK_THROWS_WITH(parse_print_uris(uri(name)), Contains("named a file"));
  CHECK_THROWS_AS(parse_print_uris("'http://x\n"), Error);
  CHECK_THROWS_AS(parse_print_uris("'http://x' a_1_all.deb -5 SHA256:" + sum), Error);
}

TEST_CASE("pip's report is read, of new and old versions", "[image]") {
  const auto packages = parse_pip_report(
      report(fmt::format(R"({{"url": "https://me:secret@idx.test/f/a-1-py3-none-any.whl",
                              "archive_info": {{"hashes": {{"sha256": "{}"}}}}}})",
                         sum)));
  REQUIRE(packages.size() == 1);
  CHECK(packages[0].name == "a");
  CHECK(packages[0].url == "https://idx.test/f/a-1-py3-none-any.whl");
  CHECK(packages[0].digest.hex() == sum);
  CHECK(parse_pip_report(report(fmt::format(R"({{"url": "https://idx.test/a-1-py3-none-any.whl",
                              "archive_info": {{"hash": "sha256={}"}}}})",
                                            sum)))
            .size() == 1);
}

TEST_CASE("what is no wheel with a digest is refused", "[image]") {
  CHECK_THROWS_WITH(parse_pip_report(report(fmt::format(
                        R"({{"url": "https://idx.test/a-1.tar.gz",
                            "archive_info": {{"hash": "sha256={}"}}}})",
                        sum))),
                    Contains("no wheel"));
  CHECK_THROWS_WITH(
      parse_pip_report(report(R"({"url": "https://idx.test/a-1.whl", "archive_info": {}})")),
      Contains("SHA-256"));
  CHECK_THROWS_WITH(parse_pip_report(report(R"({"url": "git+https://x", "vcs_info": {}})")),
                    Contains("SHA-256"));
  CHECK_THROWS_AS(parse_pip_report("{}"), Error);
  CHECK_THROWS_AS(parse_pip_report("not json"), Error);
  CHECK_THROWS_AS(parse_pip_report(R"({"install": 5})"), Error);
}
