// Which pack holds which object: small index files, memory-mapped and searched by id. They are made
// from the packs and can always be made again, so a damaged or missing one costs time only. The
// local store has such a set; so has, in the cache, each remote.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/pack.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

namespace mlp::data {

struct Location {
  Digest pack;
  PackKind kind = PackKind::data;
  PackEntry entry;
};

class IndexFile;

// Thread-safe. Several processes may use one directory: files are only added, whole, under new
// names, and removed when a merged one replaces them.
class PackIndexSet {
 public:
  // Reads nothing yet. `directory` need not exist.
  explicit PackIndexSet(fs::path directory);
  ~PackIndexSet();

  // Maps the index files of the directory and hides the objects of packs that are not in `present`.
  // Returns those of `present` that no index covers: the caller reads their ends and add()s them.
  // A damaged index file is removed. Throws Error.
  std::vector<Digest> load(std::span<const Digest> present);

  // Writes an index file for one pack and makes it visible. Creates the directory.
  void add(const Digest& pack, PackKind kind, std::span<const PackEntry> entries);

  // nullopt if no present pack has it.
  [[nodiscard]] std::optional<Location> find(const Digest& id) const;
  // The packs that load() and add() have made visible.
  [[nodiscard]] std::vector<std::pair<Digest, PackKind>> packs() const;
  [[nodiscard]] bool has_pack(const Digest& pack) const;

  // Merges small index files into one, if there are many, so that a search stays short. Needs
  // little memory: the files are merged as streams.
  void compact();

 private:
  using Files = std::vector<std::shared_ptr<const IndexFile>>;
  [[nodiscard]] std::shared_ptr<const Files> files() const;

  fs::path directory_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Files> files_; // replaced as a whole, never changed
  std::unordered_set<Digest> present_;
};

} // namespace mlp::data
