// The project's own objects, in .mlp/objects: packs, and index files over them.
//
//   packs/<id>.pack   never changed once there
//   index/*.idx       made from the packs; see pack_index.hpp
//   tmp/              packs being written, each locked by its writer
//   token             changes when objects were lost; what was remembered about them is void
//   lock              held shared by who adds, exclusively by who collects garbage (gc.hpp)
//
// Several processes may add at once without waiting: each writes packs of its own. An interrupted
// one leaves whole packs, which are used, and temporary files, which the next writer removes. Who
// only reads takes no lock: where a pack has gone since the store was opened, it looks again.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/pack_index.hpp"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <unordered_set>

namespace mlp::data {

class PackWriter;

// Something that takes objects. Implemented by the store, and by HashOnly for comparisons.
class ObjectSink {
 public:
  virtual ~ObjectSink() = default;
  // The object's id. Thread-safe; the bytes are not needed after it returns.
  virtual Digest put(PackKind kind, ByteSpan plain) = 0;
  // Several, of a few MiB together: as put(), and faster.
  virtual std::vector<Digest> put_each(PackKind kind, std::span<const ByteSpan> plain);
};

class HashOnly final : public ObjectSink {
 public:
  Digest put(PackKind, ByteSpan plain) override { return sha256(plain); }
  std::vector<Digest> put_each(PackKind kind, std::span<const ByteSpan> plain) override;
};

// Something that gives objects back.
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  // Leaves the plain bytes in `plain`, checked against the id. Thread-safe. Throws Error: not_found
  // if there is no such object, integrity if it is damaged.
  virtual void read(const Digest& id, Bytes& plain) = 0;
};

// What read_each() gives: views into memory of its own, valid until it is used again.
struct ObjectBatch {
  std::vector<ByteSpan> stored, plain;
  Bytes bytes, room;
};

struct StoreStats {
  std::uint64_t new_objects = 0;
  std::uint64_t new_bytes = 0;    // plain
  std::uint64_t stored_bytes = 0; // after compression
  std::uint64_t known_objects = 0;
  std::uint64_t known_bytes = 0;
};

class ObjectStore final : public ObjectSink, public ObjectSource {
 public:
  // Maps the index. Creates nothing: a store can be read in a folder that cannot be written, and
  // one that does not exist is empty. Throws Error.
  explicit ObjectStore(fs::path directory, int compression_level = 1);
  // Packs that were not flushed are abandoned.
  ~ObjectStore() override;

  [[nodiscard]] bool has(const Digest& id) const { return index_.find(id).has_value(); }
  [[nodiscard]] std::optional<Location> find(const Digest& id) const { return index_.find(id); }
  // Where it lies, or Error(not_found).
  [[nodiscard]] Location locate(const Digest& id) const;
  void read(const Digest& id, Bytes& plain) override;
  // The stored bytes, checked (their plain bytes are left in `plain`).
  void read_stored(const Location& location, Bytes& stored, Bytes& plain);
  // The same for several, as many as one_batch() says: those that lie together are read together.
  void read_each(std::span<const Location> locations, ObjectBatch& batch);

  // Creates the folders and the token, removes what dead writers left, and takes the lock: from
  // then on, until the store is destroyed, no object goes. Waits for a garbage collection; Throws
  // Error(conflict) after ten minutes. put() does it too; a caller that needs the token first, or
  // that wants to be stopped while it waits, does it itself.
  void prepare(const std::stop_token& stop = {});
  // Stores the object unless it is there. It can be read, and outlives a crash, after flush().
  Digest put(PackKind kind, ByteSpan plain) override;
  std::vector<Digest> put_each(PackKind kind, std::span<const ByteSpan> plain) override;
  // The same for objects in stored form, already checked by check_stored(). Returns how many were
  // not there.
  std::size_t put_stored(PackKind kind, std::span<const PackEntry> entries,
                         std::span<const ByteSpan> stored);
  bool put_stored(PackKind kind, const PackEntry& entry, ByteSpan stored) {
    return put_stored(kind, {&entry, 1}, {&stored, 1}) > 0;
  }
  // What other processes have added since it was opened can be read too, and what they removed is
  // missing. With `check` the index files are looked at closely. Thread-safe.
  void reload(bool check = false);

  // Makes a whole pack, whose file lies at pack_path() and was checked, one of the store.
  void adopt(const Digest& pack, PackKind kind, std::span<const PackEntry> entries);

  // Closes the open packs: everything put before is durable. All data is, before any node is.
  void flush();

  [[nodiscard]] StoreStats stats() const;
  // The packs as they were when the store was opened, and those added since.
  [[nodiscard]] std::vector<std::pair<Digest, PackKind>> packs() const { return index_.packs(); }
  [[nodiscard]] fs::path pack_path(const Digest& pack) const;
  [[nodiscard]] const fs::path& directory() const { return directory_; }
  [[nodiscard]] PackIndexSet& index() { return index_; }

  // See `token` above. Empty for a store that does not exist yet.
  [[nodiscard]] std::string token() const;
  void renew_token();
  // Moves a damaged pack to `damaged/`, so that its objects count as missing, and renews the token.
  void set_aside(const Digest& pack);

 private:
  void append(PackKind kind, std::span<PackEntry> entries, std::span<const ByteSpan> stored);
  [[nodiscard]] Depth needed_depth(std::span<const Location> locations) const;
  void read_one_by_one(std::span<const Location> locations, ObjectBatch& batch);
  void close_pack(PackKind kind, std::unique_lock<std::mutex>& lock);
  bool claim(const Digest& id, std::uint64_t size);
  [[nodiscard]] std::shared_ptr<const File> open_pack(const Digest& pack);

  fs::path directory_;
  int level_;
  PackIndexSet index_;

  std::mutex write_mutex_;
  std::condition_variable closed_;
  int closing_[2] = {0, 0}; // packs being synced, by kind
  std::atomic<bool> prepared_ = false;
  std::optional<FileLock> lock_;
  std::shared_ptr<PackWriter> open_[2];

  mutable std::mutex pending_mutex_;
  std::unordered_set<Digest> pending_; // put, but not yet in the index
  StoreStats stats_;

  mutable std::mutex adopted_mutex_;
  std::unordered_set<Digest> adopted_; // own packs of which this process has checked every digest

  std::mutex files_mutex_;
  std::vector<std::pair<Digest, std::shared_ptr<const File>>> files_; // most recently used last
};

} // namespace mlp::data
