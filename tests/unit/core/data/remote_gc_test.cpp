// Collections of a remote's garbage beside pushes and readers, at the moments that matter.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/data/dataset.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/remote_claim.hpp"
#include "core/data/remote_gc.hpp"
#include "tests/conformance/memory_storage.hpp"
#include "tests/unit/core/data/testing.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <functional>

using namespace mlp;
using namespace mlp::data;

namespace {

struct Checkout {
  TemporaryDirectory folder{"mlp-remote-gc-"};
  config::Project project{fs::canonical(folder.path())};
  DatasetName name{"set", "data"};

  Checkout() {
    test::write(project.file(), "name: t\ndatasets: {set: {path: data}}\n");
    config::make_state_folders(project);
  }
  [[nodiscard]] fs::path file(int number) const {
    return project.root / "data" / std::to_string(number);
  }
  [[nodiscard]] Datasets open() const { return Datasets(project, no_progress(), {}, 2); }
  [[nodiscard]] std::unique_ptr<RemoteStore> remote(Storage& storage) const {
    return std::make_unique<RemoteStore>(storage, project.cache() / "remote");
  }
};

// Files first to last - 1 of noise that depends on their numbers, added and pushed.
Digest publish(Checkout& place, Storage& storage, int first, int last) {
  fs::remove_all(place.project.root / "data");
  for (int i = first; i < last; ++i)
    test::write(place.file(i), test::noise_text(20'000, static_cast<std::uint64_t>(i)));
  Datasets datasets = place.open();
  (void)datasets.add(place.name, false);
  return datasets.push(place.name, *place.remote(storage), false, false).version;
}

RemoteGcResult collect(Storage& storage, std::set<Digest> keep = {}, bool dry_run = false) {
  const Checkout elsewhere;
  return collect_remote_garbage(*elsewhere.remote(storage),
                                {.older_than = wall_now() + std::chrono::hours(1),
                                 .keep = std::move(keep),
                                 .dry_run = dry_run});
}

bool is_whole(Storage& storage, const Digest& version) {
  const Checkout reader;
  Datasets datasets = reader.open();
  try {
    (void)datasets.fetch(reader.name, version, *reader.remote(storage), false);
    return true;
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::not_found);
    return false;
  }
}

// Calls a hook before the first swap of a ref whose name has a word in it.
class Interposed final : public Storage {
 public:
  Interposed(Storage& storage, std::string word, std::function<void()> hook)
      : storage_(storage), word_(std::move(word)), hook_(std::move(hook)) {}
  [[nodiscard]] std::string location() const override { return storage_.location(); }
  [[nodiscard]] std::vector<std::optional<std::uint64_t>>
  has(std::span<const std::string> names) override {
    return storage_.has(names);
  }
  std::size_t read(std::string_view name, std::uint64_t offset,
                   std::span<std::byte> into) override {
    return storage_.read(name, offset, into);
  }
  [[nodiscard]] std::unique_ptr<ObjectWriter> write(std::string_view name) override {
    return storage_.write(name);
  }
  [[nodiscard]] ListPage list(std::string_view prefix, std::string_view after,
                              std::size_t limit) override {
    return storage_.list(prefix, after, limit);
  }
  void remove(std::span<const std::string> names) override { storage_.remove(names); }
  [[nodiscard]] std::optional<std::string> read_ref(std::string_view name) override {
    return storage_.read_ref(name);
  }
  SwapResult compare_and_swap(std::string_view name, const std::optional<std::string>& expected,
                              const std::optional<std::string>& desired) override {
    if (hook_ && name.find(word_) != std::string_view::npos) std::exchange(hook_, nullptr)();
    return storage_.compare_and_swap(name, expected, desired);
  }

 private:
  Storage& storage_;
  std::string word_;
  std::function<void()> hook_;
};

// Makes all claims of pushes an age old, as if their owners had died long ago.
void age_claims(Storage& storage) {
  for (const ListedObject& claim : storage.list("refs/pushes/", "", 100).objects) {
    const auto text = storage.read_ref(claim.name);
    (void)storage.compare_and_swap(
        claim.name, text,
        json_object({{"host", "dead"}, {"time", "2020-01-01T00:00:00.000Z"}}).dump());
  }
}

} // namespace

TEST_CASE("versions that nobody named go from a remote, and the others stay whole") {
  test::MemoryStorage storage;
  Checkout place;
  const Digest first = publish(place, storage, 0, 40);
  const Digest kept = publish(place, storage, 20, 60);
  const Digest tagged = publish(place, storage, 30, 70);
  publish_tag(storage, "set", "v1", tagged);
  const Digest latest = publish(place, storage, 50, 90);

  const RemoteGcResult counted = collect(storage, {kept}, true);
  REQUIRE(counted.forgotten.size() == 1);
  CHECK(counted.forgotten[0].version.digest == first);
  CHECK(is_whole(storage, first));

  const RemoteGcResult result = collect(storage, {kept});
  CHECK(result.removed_objects == counted.removed_objects);
  CHECK(result.removed_objects >= 20);
  CHECK(result.versions == 3);
  CHECK_FALSE(is_whole(storage, first));
  for (const Digest& version : {kept, tagged, latest})
    CHECK(is_whole(storage, version));
  CHECK(collect(storage, {kept}).removed_objects == 0);
  CHECK(remote_versions(storage, "set").size() == 3);
  CHECK(storage.list("refs/pushes/", "", 10).objects.empty());
  CHECK_FALSE(storage.read_ref("refs/gc"));
}

TEST_CASE("without an age a collection removes only what no version has") {
  test::MemoryStorage storage;
  Checkout place;
  const Digest first = publish(place, storage, 0, 10);
  const Digest second = publish(place, storage, 5, 15);
  forget_remote_version(storage, "set", first);
  const Checkout elsewhere;
  const RemoteGcResult result = collect_remote_garbage(*elsewhere.remote(storage), {});
  CHECK(result.forgotten.empty());
  CHECK(result.removed_objects > 0);
  CHECK(is_whole(storage, second));
}

TEST_CASE("who listed the packs before a collection fetches all the same") {
  test::MemoryStorage storage;
  Checkout place;
  (void)publish(place, storage, 0, 40);
  const Digest latest = publish(place, storage, 39, 80); // some of it in the pack that goes
  const Checkout reader;
  const auto listed_before = reader.remote(storage);
  REQUIRE(collect(storage).packs_rewritten > 0);
  Datasets datasets = reader.open();
  CHECK(datasets.fetch(reader.name, latest, *listed_before, false).totals.files == 41);
}

TEST_CASE("a push that was taken for dead sends again what was removed") {
  test::MemoryStorage storage;
  Checkout place;
  (void)publish(place, storage, 0, 5);
  for (const std::string word : {"/versions/", "/latest"}) {
    CAPTURE(word);
    // All is sent, nothing is published yet: to the collection it is garbage.
    Interposed interposed(storage, word, [&] {
      age_claims(storage);
      (void)collect(storage);
    });
    const int first = word == "/latest" ? 200 : 100;
    const Digest version = publish(place, interposed, first, first + 30);
    CHECK(is_whole(storage, version));
    CHECK(latest_version(storage, "set") == version);
  }
}

TEST_CASE("pushes and collections give way to each other") {
  test::MemoryStorage storage;
  const auto claim = [&](ClaimKind kind) {
    return std::make_unique<RemoteClaim>(storage, kind, std::chrono::seconds(0), std::stop_token());
  };
  auto push = claim(ClaimKind::push);
  auto other = claim(ClaimKind::push); // pushes go side by side
  CHECK(push->held());
  CHECK_THROWS_AS(claim(ClaimKind::collection), Error);
  CHECK_FALSE(storage.read_ref("refs/gc")); // it gave way
  push.reset();
  CHECK_THROWS_AS(claim(ClaimKind::collection), Error);
  other.reset();
  auto collection = claim(ClaimKind::collection);
  CHECK_THROWS_AS(claim(ClaimKind::collection), Error);
  CHECK_THROWS_AS(claim(ClaimKind::push), Error);
  CHECK(storage.list("refs/pushes/", "", 10).objects.empty());
  CHECK(collection->held());
  collection.reset();
  push = claim(ClaimKind::push);
  age_claims(storage);
  collection = claim(ClaimKind::collection); // over the dead
  CHECK_FALSE(push->held());
}

TEST_CASE("a collection does not begin where refs or packs are not understood") {
  test::MemoryStorage storage;
  Checkout place;
  const Digest version = publish(place, storage, 0, 10);
  SECTION("refs of another kind") {
    (void)storage.compare_and_swap("refs/models/m", std::nullopt, "x");
    CHECK_THROWS_AS(collect(storage), Error);
  }
  SECTION("a damaged pack") {
    const std::string name = "packs/" + std::string(64, 'a') + ".pack";
    const auto writer = storage.write(name);
    writer->append(bytes_of("no pack"));
    writer->commit();
    CHECK_THROWS_AS(collect(storage), Error);
  }
  CHECK(is_whole(storage, version));
  CHECK_FALSE(storage.read_ref("refs/gc"));
}
