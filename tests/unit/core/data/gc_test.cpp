// Garbage collection on real stores: what roots need stays bit for bit, the rest goes, and others
// may read and add meanwhile.
#include "core/base/error.hpp"
#include "core/data/gc.hpp"
#include "core/data/manifest_reader.hpp"
#include "tests/unit/core/data/place.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <random>
#include <set>
#include <thread>

using namespace mlp;
using namespace mlp::data;

namespace {

struct Place : test::Place {
  [[nodiscard]] std::map<std::string, std::string> files_of(const Digest& version) const {
    const TemporaryDirectory target("mlp-gc-out-");
    open().export_to(version, target.path() / "out");
    return test::tree(target.path() / "out");
  }
  [[nodiscard]] GcResult collect(const std::vector<Digest>& roots, GcOptions options = {}) const {
    options.stat_caches = project.cache() / "stat";
    return collect_garbage(
        project.objects(), [&] { return roots; }, options);
  }
  [[nodiscard]] std::set<std::string> packs() const {
    std::set<std::string> names;
    for (const auto& item : fs::directory_iterator(project.objects() / "packs"))
      names.insert(item.path().filename().native());
    return names;
  }
};

void edit(const fs::path& root, std::mt19937& random, int edits) {
  for (int i = 0; i < edits; ++i) {
    const fs::path path =
        root / fmt::format("{}/{}", random() % 7, random() % 400); // some of it again and again
    if (random() % 4 == 0)
      fs::remove(path);
    else
      test::write(path, test::noise_text(random() % 3000, random()));
  }
  test::write(root / "large",
              test::noise_text(1u << 20, 1) + test::noise_text(random() % 100000, random()));
}

} // namespace

TEST_CASE("garbage collection keeps what roots need, bit for bit, and nothing else") {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    std::mt19937 random(seed);
    const Place place;
    std::map<std::string, std::map<std::string, std::string>> kept;
    std::vector<Digest> roots, others;
    for (int version = 0; version < 8; ++version) {
      edit(place.data(), random, 150);
      const Digest digest = place.add();
      if (random() % 2 == 0) {
        roots.push_back(digest);
        kept[digest.text()] = test::tree(place.data());
      } else {
        others.push_back(digest);
      }
    }
    const auto before = place.packs();
    const GcResult planned = place.collect(roots, {.dry_run = true});
    CHECK(place.packs() == before);
    const GcResult result = place.collect(roots);
    CHECK(result.removed_objects == planned.removed_objects);
    CHECK(result.kept_objects == planned.kept_objects);
    CHECK(result.packs_removed + result.packs_rewritten > 0);

    const ObjectStore store(place.project.objects());
    for (const Digest& root : roots)
      CHECK(place.files_of(root) == kept.at(root.text()));
    for (const Digest& other : others)
      CHECK_FALSE(store.has(other));
    // What is left over is what the result says, and a second run has nothing to do.
    std::uint64_t left = 0;
    for (const auto& [pack, use] : PackMarks(ObjectStore(place.project.objects()).index()).uses())
      left += use.objects;
    CHECK(left == result.kept_objects + result.left_objects);
    const auto after = place.packs();
    CHECK_FALSE(place.collect(roots).changes());
    CHECK(place.packs() == after);
    // With no root at all everything goes.
    (void)place.collect({});
    CHECK(place.packs().empty());
  }
}

TEST_CASE("who opened a store before a garbage collection reads on, and adds on") {
  std::mt19937 random(7);
  const Place place;
  edit(place.data(), random, 300);
  const Digest first = place.add();
  edit(place.data(), random, 300);
  test::write(place.data() / "large", "no more"); // most of the first pack
  const Digest second = place.add();
  const auto files = test::tree(place.data());

  ObjectStore reader(place.project.objects());
  Datasets adder = place.open();
  const auto before = place.packs();
  CHECK(place.collect({second}).packs_rewritten > 0);
  CHECK(place.packs() != before);

  const Entry root = read_manifest(reader, second);
  Bytes plain;
  std::size_t chunks = 0;
  for_each_entry(reader, root, [&](const std::string&, const Entry& entry) {
    ContentReader content(reader, entry.content);
    while (const auto ref = content.next()) {
      reader.read(ref->id, plain);
      ++chunks;
    }
    return true;
  });
  CHECK(chunks > 100);

  // What it took for stored when it was opened has gone: it stores it again.
  fs::remove_all(place.data());
  std::mt19937 again(7);
  edit(place.data(), again, 300);
  const Digest version = adder.add(place.name, false).version;
  CHECK(version == first);
  CHECK(place.files_of(first) == test::tree(place.data()));
}

TEST_CASE("a garbage collection waits until nobody adds, and can be stopped while it waits") {
  const Place place;
  test::write(place.data() / "f", "one");
  (void)place.add();
  ObjectStore adding(place.project.objects());
  adding.prepare();
  std::stop_source stop;
  std::jthread stopper([&] {
    ::usleep(100'000);
    stop.request_stop();
  });
  const auto before = place.packs();
  try {
    (void)place.collect({}, {.stop = stop.get_token()});
    FAIL("it did not wait");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::interrupted);
  }
  CHECK(place.packs() == before);
}

TEST_CASE(
    "after a garbage collection files are read again only if what was known of them has gone") {
  std::mt19937 random(3);
  const Place place;
  edit(place.data(), random, 200);
  const Digest old = place.add();
  edit(place.data(), random, 200);
  ::usleep(250'000); // past the tick of the file system's clock
  const Digest used = place.add();
  CHECK(place.collect({used}).changes());
  const AddResult same = place.open().add(place.name, false);
  CHECK(same.version == used);
  CHECK(same.scanned.read_files == 0);

  test::write(place.data() / "other", "content");
  (void)place.add();
  CHECK(place.collect({old}).changes());
  const AddResult all = place.open().add(place.name, false);
  CHECK(all.scanned.read_files > 100);
  CHECK(place.files_of(all.version) == test::tree(place.data()));
}

TEST_CASE("a damaged node that is needed stops a garbage collection before it removes anything") {
  std::mt19937 random(5);
  const Place place;
  edit(place.data(), random, 200);
  (void)place.add();
  edit(place.data(), random, 200);
  const Digest used = place.add();
  {
    const ObjectStore store(place.project.objects());
    const auto location = store.find(used);
    REQUIRE(location);
    const fs::path path = store.pack_path(location->pack);
    fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
    std::string bytes = read_file(path);
    bytes[location->entry.offset + entry_header_size] ^= 1;
    test::write(path, bytes);
  }
  const auto before = place.packs();
  try {
    (void)place.collect({used});
    FAIL("it went on");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::integrity);
  }
  CHECK(place.packs() == before);
}

TEST_CASE("a garbage collection after one that was cut off before it removed packs loses nothing") {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    std::mt19937 random(seed);
    const Place place;
    std::vector<Digest> versions;
    for (int i = 0; i < 4; ++i) {
      edit(place.data(), random, 100);
      versions.push_back(place.add());
    }
    const Digest used = versions.back();
    const auto files = test::tree(place.data());
    const fs::path packs = place.project.objects() / "packs";
    const TemporaryDirectory kept("mlp-gc-kept-");
    for (const auto& item : fs::directory_iterator(packs))
      fs::create_hard_link(item.path(), kept.path() / item.path().filename());
    (void)place.collect({used});
    const auto bring_back = [&](unsigned which) {
      for (const auto& item : fs::directory_iterator(kept.path())) {
        std::error_code there;
        if (random() % which == 0)
          fs::create_hard_link(item.path(), packs / item.path().filename(), there);
      }
    };
    for (unsigned which = 1; which <= 3; ++which) {
      bring_back(which); // as if they had not been removed
      (void)place.collect({used});
      CHECK(place.files_of(used) == files);
    }
  }
}

TEST_CASE("of an object in two packs one copy stays") {
  const Place place;
  test::write(place.data() / "f", test::noise_text(100000, 1));
  ObjectStore one(place.project.objects()), two(place.project.objects());
  const Bytes object = test::noise(50000, 2);
  const Digest id = one.put(PackKind::data, object);
  two.put(PackKind::data, object);
  two.put(PackKind::data, test::noise(100, 3)); // so that it is another pack
  one.flush();
  two.flush();
  ObjectStore store(place.project.objects());
  PackMarks marks(store.index());
  CHECK(marks.mark(id) == PackMarks::Mark::fresh);
  CHECK(marks.mark(id) == PackMarks::Mark::repeated);
  CHECK(marks.mark(sha256(test::noise(10, 4))) == PackMarks::Mark::missing);
  std::uint64_t needed = 0, objects = 0;
  for (const auto& [pack, use] : marks.uses()) {
    needed += use.needed_objects;
    objects += use.objects;
  }
  CHECK(needed == 1);
  CHECK(objects == 3);
}
