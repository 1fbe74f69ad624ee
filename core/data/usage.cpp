// One walk a version; a chunk's place in its pack tells its stored size.
#include "core/data/usage.hpp"

#include "core/base/interrupt.hpp"
#include "core/data/manifest_reader.hpp"

namespace mlp::data {

namespace {

class Counting final : public ObjectVisitor {
 public:
  Counting(ObjectStore& store, std::unordered_set<Digest>& before, const std::stop_token& stop)
      : store_(store), before_(before), stop_(stop) {}

  bool enter(const Digest& node) override {
    throw_if_stopped(stop_);
    return add(node, store_.find(node));
  }
  void chunk(const Ref& ref) override { add(ref.id, store_.find(ref.id)); }
  void leave(const Digest&) override {}

  Usage usage;

 private:
  // False if it was counted in this version already.
  bool add(const Digest& id, const std::optional<Location>& place) {
    if (!own_.insert(id).second) return false;
    ++usage.objects;
    const bool is_new = before_.insert(id).second;
    if (!place) return true; // reading it says that it is missing
    usage.distinct += place->entry.plain_size;
    usage.stored += place->entry.stored_size;
    if (is_new) usage.new_stored += place->entry.stored_size;
    return true;
  }

  ObjectStore& store_;
  std::unordered_set<Digest>& before_;
  const std::stop_token& stop_;
  std::unordered_set<Digest> own_;
};

} // namespace

Usage UsageCounter::count(const Digest& version, const std::stop_token& stop) {
  const Totals totals = version_totals(read_manifest(store_, version));
  Counting counting(store_, seen_, stop);
  walk_objects(store_, version, counting);
  counting.usage.files = totals.files;
  counting.usage.bytes = totals.bytes;
  return counting.usage;
}

} // namespace mlp::data
