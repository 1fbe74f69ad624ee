// One walk a version; a chunk's place in its pack tells its stored size.
#include "core/data/usage.hpp"

#include "core/base/interrupt.hpp"
#include "core/data/manifest_reader.hpp"

namespace mlp::data {

namespace {

class Counting final : public ObjectVisitor {
 public:
  Counting(ObjectStore& store, PackMarks& before, const std::stop_token& stop)
      : store_(store), before_(before), stop_(stop), own_(store.index()) {}

  bool enter(const Digest& node) override {
    throw_if_stopped(stop_);
    return add(node);
  }
  void chunk(const Ref& ref) override { add(ref.id); }
  void leave(const Digest&) override {}

  Usage usage;

 private:
  // False if it was counted in this version already.
  bool add(const Digest& id) {
    const PackMarks::Mark mark = own_.mark(id);
    if (mark != PackMarks::Mark::fresh) return mark == PackMarks::Mark::missing;
    const bool is_new = before_.mark(id) == PackMarks::Mark::fresh;
    const auto place = store_.find(id);
    if (!place) return true;
    ++usage.objects;
    usage.distinct += place->entry.plain_size;
    usage.stored += place->entry.stored_size;
    if (is_new) usage.new_stored += place->entry.stored_size;
    return true;
  }

  ObjectStore& store_;
  PackMarks& before_;
  const std::stop_token& stop_;
  PackMarks own_;
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
