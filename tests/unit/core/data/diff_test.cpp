// The difference of two random trees against a comparison of all their files.
#include "core/base/error.hpp"
#include "core/data/diff.hpp"
#include "core/data/manifest_builder.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>

namespace mlp::data {
namespace {

using Files = std::map<std::string, std::string>; // path -> bytes

// Objects in memory.
class MemoryObjects final : public ObjectSink, public ObjectSource {
 public:
  Digest put(PackKind, ByteSpan plain) override {
    const Digest id = sha256(plain);
    objects_[id] = Bytes(plain.begin(), plain.end());
    return id;
  }
  void read(const Digest& id, Bytes& plain) override {
    ++reads;
    plain = objects_.at(id);
  }
  int reads = 0;

 private:
  std::map<Digest, Bytes> objects_;
};

// The folder of the files whose paths begin with `prefix`.
Entry folder(MemoryObjects& objects, const Files& files, const std::string& prefix) {
  TreeBuilder builder(objects);
  std::string last;
  for (auto it = files.lower_bound(prefix); it != files.end() && it->first.starts_with(prefix);
       ++it) {
    const std::string below = it->first.substr(prefix.size());
    const std::size_t slash = below.find('/');
    const std::string name = below.substr(0, slash);
    if (name == last) continue;
    last = name;
    Entry entry;
    if (slash != std::string::npos) {
      entry = folder(objects, files, prefix + name + "/");
    } else {
      const Digest id = objects.put(PackKind::data, bytes_of(it->second));
      entry.content = {it->second.size(), 0, {{id, it->second.size()}}};
    }
    entry.name = name;
    builder.add(entry);
  }
  return builder.finish();
}

struct Trees {
  Files before, after;
};

// Names sort the same with and without the slash: letters and digits only.
Trees random_trees(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  Trees trees;
  for (int i = 0; i < 120; ++i) {
    std::string path;
    for (unsigned depth = below(4); depth > 0; --depth)
      path += "d" + std::to_string(below(3)) + "/";
    trees.before[path + "f" + std::to_string(i)] = "bytes " + std::to_string(below(1000000));
  }
  trees.after = trees.before;
  for (auto& [path, bytes] : trees.before) {
    const unsigned what = below(12);
    if (what == 0) {
      trees.after[path] += " more";
    } else if (what == 1) {
      trees.after.erase(path);
    } else if (what == 2) {
      trees.after.erase(path);
      trees.after["d" + std::to_string(below(3)) + "/moved" + path.substr(path.rfind('f') + 1)] =
          bytes;
    } else if (what == 3) {
      trees.after[path + "new"] = "new " + path;
    }
  }
  return trees;
}

} // namespace

TEST_CASE("a difference has every change of random trees, once") {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    const Trees trees = random_trees(seed);
    MemoryObjects objects;
    const Entry before = folder(objects, trees.before, "");
    const Entry after = folder(objects, trees.after, "");
    const Difference difference = diff_versions(objects, before, objects, after);
    CHECK(std::ranges::is_sorted(difference.changes, {}, &Change::path));
    Files rebuilt = trees.before;
    for (const Change& change : difference.changes) {
      INFO(change_word(change.kind) << " " << change.path);
      switch (change.kind) {
      case ChangeKind::added:
        CHECK(rebuilt.emplace(change.path, trees.after.at(change.path)).second);
        break;
      case ChangeKind::removed:
        CHECK(rebuilt.erase(change.path) == 1);
        break;
      case ChangeKind::modified:
        CHECK(rebuilt.at(change.path) != trees.after.at(change.path));
        rebuilt.at(change.path) = trees.after.at(change.path);
        break;
      case ChangeKind::renamed:
        CHECK(rebuilt.emplace(change.path, trees.before.at(change.old_path)).second);
        CHECK(rebuilt.erase(change.old_path) == 1);
        break;
      }
    }
    CHECK(rebuilt == trees.after);
    CHECK(difference.count() == difference.changes.size());
  }
}

TEST_CASE("what did not change is not read") {
  MemoryObjects objects;
  Files files;
  for (int i = 0; i < 2000; ++i)
    files["d" + std::to_string(i % 50) + "/f" + std::to_string(i)] = std::to_string(i);
  const Entry before = folder(objects, files, "");
  files["d7/f7"] = "other";
  const Entry after = folder(objects, files, "");
  objects.reads = 0;
  const Difference difference = diff_versions(objects, before, objects, after);
  REQUIRE(difference.changes.size() == 1);
  CHECK(difference.changes[0].path == "d7/f7");
  CHECK(objects.reads <= 8); // two nodes of two versions, and where nodes were cut
  objects.reads = 0;
  CHECK(diff_versions(objects, after, objects, after).count() == 0);
  CHECK(objects.reads == 0);
}

TEST_CASE("a file that becomes a folder is a removal and additions") {
  MemoryObjects objects;
  const Entry before = folder(objects, {{"a", "x"}, {"b", "y"}}, "");
  const Entry after = folder(objects, {{"a/one", "1"}, {"a/two", "2"}, {"b", "y"}}, "");
  const Difference difference = diff_versions(objects, before, objects, after);
  CHECK(difference.added == 2);
  CHECK(difference.removed == 1);
  CHECK(difference.added_bytes == 2);
  CHECK(difference.removed_bytes == 1);
}

} // namespace mlp::data
