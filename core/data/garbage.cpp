// Marking walks each node once, however many versions have it.
#include "core/data/garbage.hpp"

#include "core/base/interrupt.hpp"
#include "core/data/manifest_reader.hpp"

#include <algorithm>

namespace mlp::data {

namespace {

class Marker final : public ObjectVisitor {
 public:
  Marker(PackMarks& marks, Progress& progress, const std::stop_token& stop)
      : marks_(marks), progress_(progress), stop_(stop) {}

  bool enter(const Digest& node) override {
    throw_if_stopped(stop_);
    return marks_.mark(node) == PackMarks::Mark::fresh;
  }
  void chunk(const Ref& ref) override {
    if (marks_.mark(ref.id) == PackMarks::Mark::fresh) progress_.advance(1);
  }
  void leave(const Digest&) override {}

 private:
  PackMarks& marks_;
  Progress& progress_;
  const std::stop_token& stop_;
};

} // namespace

std::uint64_t mark_needed(ObjectSource& source, std::span<const Digest> roots, PackMarks& marks,
                          Progress& progress, const std::stop_token& stop) {
  std::uint64_t absent = 0;
  progress.begin("looking for what is needed", 0, ProgressUnit::count);
  Marker marker(marks, progress, stop);
  for (const Digest& root : roots) {
    if (marks.has(root))
      walk_objects(source, root, marker);
    else
      ++absent;
  }
  progress.end();
  return absent;
}

std::vector<Victim> choose_victims(const PackMarks& marks, double share, GcResult& result) {
  std::vector<Victim> victims;
  for (const auto& [pack, use] : marks.uses()) {
    result.kept_objects += use.needed_objects;
    result.kept_bytes += use.needed_bytes;
    const std::uint64_t objects = use.objects - use.needed_objects;
    const std::uint64_t bytes = use.bytes - use.needed_bytes;
    if (objects == 0) continue;
    const bool worth = use.kind == PackKind::meta ||
                       static_cast<double>(bytes) >= share * static_cast<double>(use.bytes);
    if (!worth) {
      result.left_objects += objects;
      result.left_bytes += bytes;
      continue;
    }
    result.removed_objects += objects;
    result.removed_bytes += bytes;
    ++(use.needed_objects == 0 ? result.packs_removed : result.packs_rewritten);
    victims.push_back({pack, use});
  }
  // What makes room goes first: others need some.
  std::stable_partition(victims.begin(), victims.end(),
                        [](const Victim& victim) { return victim.use.needed_objects == 0; });
  return victims;
}

} // namespace mlp::data
