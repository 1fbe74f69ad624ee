// Walks the files of a dataset in the order of its manifest, and reads those that the stat cache
// cannot answer for: cut into chunks, hashed, and handed to a sink. Reading, hashing and
// compressing overlap on several threads with bounded memory; what comes out is in order.
#pragma once

#include "core/base/progress.hpp"
#include "core/data/ignore.hpp"
#include "core/data/manifest.hpp"
#include "core/data/stat_cache.hpp"
#include "core/data/store.hpp"

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::data {

struct ScanOptions {
  fs::path cache;     // read; empty: every file is read
  fs::path new_cache; // written when the scan is done; empty: none
  std::string token;  // of the store that both caches speak of
  // Whether what is found counts as recorded: true where the sink keeps it.
  bool records = false;
  // Whether .mlpignore files are looked at; and patterns at the root that go before theirs.
  bool ignore_files = true;
  std::vector<IgnorePattern> ignored;
  unsigned jobs = 0; // 0: one a CPU
  Progress* progress = nullptr;
  std::stop_token stop;
};

struct ScanStats {
  std::uint64_t files = 0; // and symlinks
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;
  std::uint64_t read_files = 0; // not answered by the cache
  std::uint64_t read_bytes = 0;
};

// Told of the entries in order; called by the thread that scans.
class ScanVisitor {
 public:
  virtual ~ScanVisitor() = default;
  virtual void enter(const std::string& name) = 0;
  // A file or symlink. `path` is relative to the root; for a dataset that is one file, both it and
  // the entry's name are empty.
  virtual void entry(const Entry& entry) = 0;
  virtual void leave() = 0;
};

// Scans a file or folder. Blocks until done. Throws Error: not_found if there is nothing at `root`;
// conflict if a file keeps changing while it is read; failed for a device, FIFO or socket; denied;
// interrupted. `before_commit` runs when all entries are known and before the new cache is written:
// there the caller makes its objects durable.
ScanStats scan(const fs::path& root, ObjectSink& sink, ScanVisitor& visitor,
               const ScanOptions& options, const std::function<void()>& before_commit = {});

// What a scan would walk over: counted, nothing read. nullopt once there are more files or bytes.
[[nodiscard]] std::optional<ScanStats> measure(const fs::path& root, const ScanOptions& options,
                                               std::uint64_t most_files, std::uint64_t most_bytes);

} // namespace mlp::data
