// Garbage collection of a local store: objects that no root needs go, and packs that hold them with
// others are written anew. A mark takes a bit an object, so millions of them take little memory.
#pragma once

#include "core/base/progress.hpp"
#include "core/data/garbage.hpp"

#include <functional>
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

// Waits up to 30 s until nobody adds, then keeps them waiting; readers go on. Then asks for the
// `roots`, ids of manifests: one that is not here, or not whole, keeps what there is of it. At no
// moment, and after no crash, does a needed object lack. Blocks. Throws Error: conflict if others
// go on adding; integrity if a needed node is damaged, and nothing was removed then; failed,
// denied.
GcResult collect_garbage(const fs::path& store, const std::function<std::vector<Digest>()>& roots,
                         const GcOptions& options);

} // namespace mlp::data
