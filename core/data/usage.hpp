// How much room versions take: as files, after equal chunks are counted once, and in packs.
#pragma once

#include "core/data/store.hpp"

#include <stop_token>

namespace mlp::data {

struct Usage {
  std::uint64_t files = 0, bytes = 0;      // of the files
  std::uint64_t objects = 0, distinct = 0; // bytes of different chunks and nodes, as they are
  std::uint64_t stored = 0;                // the same as packs hold them
  std::uint64_t new_stored = 0;            // of those that no version counted before it has
};

// Counts versions one after the other. Memory: two bits for each object of the store. Not
// thread-safe; `store` outlives it.
class UsageCounter {
 public:
  explicit UsageCounter(ObjectStore& store) : store_(store), seen_(store.index()) {}
  // The version's nodes have to be in the store; chunks that are not take no room. Throws Error:
  // not_found, integrity, interrupted.
  [[nodiscard]] Usage count(const Digest& version, const std::stop_token& stop);

 private:
  ObjectStore& store_;
  PackMarks seen_; // in any version so far
};

} // namespace mlp::data
