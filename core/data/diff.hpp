// What differs between two versions of a dataset. Equal subtrees are one comparison of digests, so
// the work is that of the changes and of the folders above them.
#pragma once

#include "core/data/compare.hpp"

#include <stop_token>

namespace mlp::data {

struct Difference {
  std::vector<Change> changes; // in the order of their paths, the first `limit` of them
  std::uint64_t added = 0, removed = 0, modified = 0, renamed = 0;
  std::uint64_t added_bytes = 0, removed_bytes = 0; // of files that came and went
  [[nodiscard]] std::uint64_t count() const { return added + removed + modified + renamed; }
};

// From `before` to `after`, which are roots of versions whose nodes are in the sources. A file that
// went while one of the same bytes came is renamed; that is looked for among 200,000 files that
// came and went, beyond that they count as removed and added. Memory: the changes. Throws Error.
[[nodiscard]] Difference diff_versions(ObjectSource& before_source, const Entry& before,
                                       ObjectSource& after_source, const Entry& after,
                                       std::size_t limit = 100000,
                                       const std::stop_token& stop = {});

} // namespace mlp::data
