// How much room versions take: as files, after equal chunks are counted once, and in packs.
#pragma once

#include "core/data/store.hpp"

#include <stop_token>
#include <unordered_set>

namespace mlp::data {

struct Usage {
  std::uint64_t files = 0, bytes = 0;      // of the files
  std::uint64_t objects = 0, distinct = 0; // bytes of different chunks and nodes, as they are
  std::uint64_t stored = 0;                // the same as packs hold them
  std::uint64_t new_stored = 0;            // of those that no version counted before it has
};

// Counts versions one after the other. Memory: about 50 bytes a chunk, so 1 GB for a version of
// 1.3 TB. Not thread-safe.
class UsageCounter {
 public:
  explicit UsageCounter(ObjectStore& store) : store_(store) {}
  // The version's objects have to be in the store. Throws Error: not_found, integrity, interrupted.
  [[nodiscard]] Usage count(const Digest& version, const std::stop_token& stop);

 private:
  ObjectStore& store_;
  std::unordered_set<Digest> seen_; // in any version so far
};

} // namespace mlp::data
