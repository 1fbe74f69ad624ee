// What of a set of packs is garbage: marking what is needed from the roots, and choosing the packs
// that are worth changing. Shared by the collections of a local store (gc.hpp) and of a remote
// (remote_gc.hpp).
#pragma once

#include "core/base/progress.hpp"
#include "core/data/pack_index.hpp"
#include "core/data/store.hpp"

#include <functional>
#include <span>
#include <stop_token>
#include <vector>

namespace mlp::data {

struct GcResult {
  std::uint64_t kept_objects = 0, kept_bytes = 0;       // stored bytes
  std::uint64_t removed_objects = 0, removed_bytes = 0; // the same
  std::uint64_t left_objects = 0,
                left_bytes = 0; // not needed, but too few in their pack to move it
  std::uint64_t packs_removed = 0, packs_rewritten = 0;
  std::uint64_t absent_roots = 0; // manifests that are not in this store
  [[nodiscard]] bool changes() const { return packs_removed + packs_rewritten > 0; }
};

// Marks all that the roots, ids of manifests, need. Returns how many of them are not in `marks`.
// Throws Error: integrity for a damaged node, what `source` throws, interrupted.
std::uint64_t mark_needed(ObjectSource& source, std::span<const Digest> roots, PackMarks& marks,
                          Progress& progress, const std::stop_token& stop);

// A pack that goes, after what is needed of it was written anew.
struct Victim {
  Digest pack;
  PackMarks::PackUse use;
};
// Counts into `result`. A pack of chunks is among them if this share of it is not needed; a pack of
// nodes always: a node that nobody needs may name chunks that go, and has to go before them. Packs
// of which nothing is needed come first: they make room.
[[nodiscard]] std::vector<Victim> choose_victims(const PackMarks& marks, double share,
                                                 GcResult& result);

} // namespace mlp::data
