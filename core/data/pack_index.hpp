// Which pack holds which object: small index files, memory-mapped and searched by id. They are made
// from the packs and can always be made again, so a damaged or missing one costs time only. The
// local store has such a set; so has, in the cache, each remote.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/pack.hpp"

#include <map>
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
  // A damaged index file is removed. With `check` large ones are read to see whether they are
  // damaged, and those of no use are removed too. Throws Error.
  std::vector<Digest> load(std::span<const Digest> present, bool check = false);

  // Writes an index file for one pack and makes it visible. Creates the directory.
  void add(const Digest& pack, PackKind kind, std::span<const PackEntry> entries);

  // nullopt if no present pack has it.
  [[nodiscard]] std::optional<Location> find(const Digest& id) const;
  // The packs that load() and add() have made visible.
  [[nodiscard]] std::vector<std::pair<Digest, PackKind>> packs() const;
  [[nodiscard]] bool has_pack(const Digest& pack) const;

  // Hides the objects of a pack that goes.
  void remove(const Digest& pack);

  // Merges small index files into one, if there are many, so that a search stays short; with `all`
  // all of them, and what packs that are gone have in them is left out. Needs little memory: the
  // files are merged as streams.
  void compact(bool all = false);

 private:
  friend class PackMarks;
  using Files = std::vector<std::shared_ptr<const IndexFile>>;
  struct Place {
    std::size_t file = 0, record = 0;
    Location location;
  };
  [[nodiscard]] std::shared_ptr<const Files> files() const;
  [[nodiscard]] std::optional<Place> locate(const Files& files, const Digest& id) const;

  fs::path directory_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Files> files_; // replaced as a whole, never changed
  std::unordered_set<Digest> present_;
};

// Which objects of a set are needed: a bit for each, so that millions take little memory. Of an
// object that several packs have, one copy is. Sees the packs as they were when it was made, minus
// those removed. Not thread-safe; `set` outlives it.
class PackMarks {
 public:
  explicit PackMarks(const PackIndexSet& set);

  enum class Mark : std::uint8_t { missing, fresh, repeated };
  Mark mark(const Digest& id);
  [[nodiscard]] bool has(const Digest& id) const;
  [[nodiscard]] bool is_marked(const Digest& id) const;
  // Whether this pack's copy of the object is the one that is needed.
  [[nodiscard]] bool is_marked(const Digest& id, const Digest& pack) const;

  struct PackUse {
    PackKind kind = PackKind::data;
    std::uint64_t objects = 0, bytes = 0; // stored bytes
    std::uint64_t needed_objects = 0, needed_bytes = 0;
  };
  [[nodiscard]] std::map<Digest, PackUse> uses() const;

 private:
  const PackIndexSet& set_;
  std::shared_ptr<const PackIndexSet::Files> files_;
  std::vector<std::vector<bool>> bits_; // by file and record
};

} // namespace mlp::data
