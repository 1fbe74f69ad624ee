// Garbage collection of a local store: objects that no root needs go, and packs that hold them with
// others are written anew. A mark takes a bit an object, so millions of them take little memory.
#pragma once

#include "core/base/progress.hpp"
#include "core/data/store.hpp"

#include <functional>
#include <span>
#include <stop_token>
#include <vector>

namespace mlp::data {

struct GcOptions {
  fs::path stat_caches; // the folder of the datasets' stat caches; may be empty
  bool dry_run = false; // only count
  // Called when it is known what stays and goes, while nobody adds; not in a dry run.
  std::function<void()> before_sweep;
  Progress* progress = nullptr;
  std::stop_token stop;
};

struct GcResult {
  std::uint64_t kept_objects = 0, kept_bytes = 0;       // stored bytes
  std::uint64_t removed_objects = 0, removed_bytes = 0; // the same
  std::uint64_t left_objects = 0,
                left_bytes = 0; // not needed, but too few in their pack to move it
  std::uint64_t packs_removed = 0, packs_rewritten = 0;
  std::uint64_t absent_roots = 0; // manifests that are not in this store
  [[nodiscard]] bool changes() const { return packs_removed + packs_rewritten > 0; }
};

// Waits up to 30 s until nobody adds, then keeps them waiting; readers go on. Then asks for the
// `roots`, ids of manifests: one that is not here, or not whole, keeps what there is of it. At no
// moment, and after no crash, does a needed object lack. Blocks. Throws Error: conflict if others
// go on adding; integrity if a needed node is damaged, and nothing was removed then; failed,
// denied.
GcResult collect_garbage(const fs::path& store, const std::function<std::vector<Digest>()>& roots,
                         const GcOptions& options);

} // namespace mlp::data
