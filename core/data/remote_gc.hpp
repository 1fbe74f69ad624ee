// Garbage collection of a remote: versions that are old and that nobody named go, and then what no
// version needs. Pushes wait meanwhile (remote_claim.hpp), and who fetches looks again where a pack
// has gone.
#pragma once

#include "core/data/garbage.hpp"
#include "core/data/remote_store.hpp"
#include "core/data/versions.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace mlp::data {

struct RemoteGcOptions {
  // Versions that were published before it are forgotten, but for the latest of each dataset, those
  // with a tag there, and `keep`. Absent: none.
  std::optional<WallTime> older_than;
  std::set<Digest> keep;
  bool dry_run = false; // only count
  Progress* progress = nullptr;
  std::stop_token stop;
};

struct RemoteGcResult : GcResult {
  struct Forgotten {
    std::string dataset;
    Version version;
  };
  std::vector<Forgotten> forgotten;
  std::uint64_t versions = 0; // that stay
};

// At no moment, and after no crash, does a version that stays lack an object. Blocks. Throws Error:
// conflict if pushes go on for 30 s, or if the collection lost its claim; integrity if a needed
// node or a pack is damaged, and nothing was removed then; what the storage throws.
RemoteGcResult collect_remote_garbage(RemoteStore& remote, const RemoteGcOptions& options);

} // namespace mlp::data
