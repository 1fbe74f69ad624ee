// Parts of versions: what patterns choose, and that the rest is neither read nor kept.
#include "core/base/error.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/select.hpp"
#include "tests/unit/core/data/place.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace mlp;
using namespace mlp::data;

namespace {

struct Place : test::Place {
  Datasets datasets = open();

  std::set<std::string> selected(const std::string& patterns) {
    const Digest version = datasets.pinned(name).digest;
    const Digest part = datasets.select(version, parse_ignore(patterns), nullptr);
    std::set<std::string> paths;
    std::uint64_t bytes = 0;
    const Entry root = read_manifest(datasets.store(), part);
    for_each_entry(datasets.store(), root, [&](const std::string& path, const Entry& entry) {
      if (entry.type != EntryType::directory) paths.insert(path);
      bytes += entry.content.size;
      return true;
    });
    CHECK(version_totals(root).files == paths.size());
    CHECK(version_totals(root).bytes == bytes);
    return paths;
  }
};

using Paths = std::set<std::string>;

} // namespace

TEST_CASE("patterns choose files and folders as .mlpignore would leave them out") {
  Place place;
  const fs::path data = place.data();
  for (const char* path : {"a.csv", "b.txt", "train/a.csv", "train/cats/1.png", "train/cats/2.png",
                           "train/dogs/1.png", "test/cats/1.png"})
    test::write(data / path, path);
  fs::create_directories(data / "empty");
  (void)place.datasets.add(place.name, false);

  CHECK(place.selected("*.csv") == Paths{"a.csv", "train/a.csv"});
  CHECK(place.selected("/*.csv") == Paths{"a.csv"});
  CHECK(place.selected("cats/") ==
        Paths{"train/cats/1.png", "train/cats/2.png", "test/cats/1.png"});
  CHECK(place.selected("train/cats") == Paths{"train/cats/1.png", "train/cats/2.png"});
  CHECK(place.selected("train/**/1.png\nb.txt") ==
        Paths{"train/cats/1.png", "train/dogs/1.png", "b.txt"});
  CHECK(place.selected("*").size() == 7);
  CHECK(place.selected("empty").empty()); // the folder itself
  try {
    (void)place.selected("*.jpg");
    FAIL("nothing matches");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::not_found);
  }
}

TEST_CASE("all of a version chosen is that version") {
  Place place;
  test::write(place.data() / "x/y", "1");
  test::write(place.data() / "z", "2");
  const Digest version = place.datasets.add(place.name, false).version;
  CHECK(place.datasets.select(version, parse_ignore("*"), nullptr) == version);
}
