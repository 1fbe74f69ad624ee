// What arrives in pieces: by one writer at a time, and gone on from by the next.
#include "core/base/error.hpp"
#include "core/net/part_file.hpp"
#include "tests/conformance/storage_words.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using net::PartFile;
using test::bytes_of;

TEST_CASE("a part that an earlier run has left is gone on from, if it is of the same version") {
  const TemporaryDirectory folder;
  const fs::path target = folder.path() / "file";
  {
    PartFile part(target);
    part.restart("one");
    part.append(bytes_of("abc"));
  }
  {
    PartFile part(target);
    CHECK(part.etag() == "one");
    CHECK(part.size() == 3);
    part.append(bytes_of("def"));
    CHECK(part.hash({}) == sha256(bytes_of("abcdef")));
    part.become(target);
  }
  CHECK(read_file(target) == "abcdef");
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
  {
    PartFile part(target);
    part.restart(""); // a version that cannot be told from others
    part.append(bytes_of("x"));
  }
  CHECK(PartFile(target).size() == 0);
}

TEST_CASE("two do not write one part, and a target that is whole is not touched by the next") {
  const TemporaryDirectory folder;
  const fs::path target = folder.path() / "file";
  {
    PartFile part(target);
    part.restart("one");
    part.append(bytes_of("abc"));
    CHECK(test::kind_of([&] { PartFile other(target); }) == ErrorKind::conflict);
    part.become(target);
    PartFile next(target);
    next.restart("two");
    next.append(bytes_of("d"));
  }
  CHECK(read_file(target) == "abc");
}
