// The room that versions take, against a plain count of what is reached from them.
#include "core/base/error.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/usage.hpp"
#include "tests/conformance/storage_words.hpp"
#include "tests/unit/core/data/place.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace mlp;
using namespace mlp::data;

namespace {

struct Reached final : ObjectVisitor {
  std::set<Digest> ids;
  bool enter(const Digest& node) override { return ids.insert(node).second; }
  void chunk(const Ref& ref) override { ids.insert(ref.id); }
  void leave(const Digest&) override {}
};

std::set<Digest> reached(ObjectStore& store, const Digest& version) {
  Reached visitor;
  walk_objects(store, version, visitor);
  return visitor.ids;
}

} // namespace

TEST_CASE("the room of a version is that of each of its objects once, less what others share") {
  const test::Place place;
  test::write(place.data() / "a", test::noise_text(1'500'000, 1));
  test::write(place.data() / "sub/text", std::string(50'000, 'x'));
  const Digest first = place.add();
  test::write(place.data() / "copy", test::noise_text(1'500'000, 1));
  test::write(place.data() / "sub/other", test::noise_text(70'000, 2));
  const Digest second = place.add();

  ObjectStore store(place.project.objects());
  UsageCounter counter(store);
  std::set<Digest> before;
  for (const Digest& version : {first, second, first}) {
    const Usage usage = counter.count(version, {});
    std::uint64_t plain = 0, stored = 0, fresh = 0;
    const auto ids = reached(store, version);
    for (const Digest& id : ids) {
      const PackEntry entry = store.find(id)->entry;
      plain += entry.plain_size;
      stored += entry.stored_size;
      if (before.insert(id).second) fresh += entry.stored_size;
    }
    CHECK(usage.objects == ids.size());
    CHECK(usage.distinct == plain);
    CHECK(usage.stored == stored);
    CHECK(usage.new_stored == fresh);
    CHECK(usage.bytes == (version == first ? 1'550'000 : 3'120'000));
  }
  CHECK(test::kind_of([&] { (void)counter.count(sha256(test::noise(10, 3)), {}); }) ==
        ErrorKind::not_found);
}
