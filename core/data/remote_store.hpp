// The objects in a storage: what is there is known from the ends of its packs, which are read once
// and kept as index files in a cache folder of this machine.
#pragma once

#include "core/base/error.hpp"
#include "core/base/progress.hpp"
#include "core/data/pack_reader.hpp"
#include "core/data/storage.hpp"
#include "core/data/store.hpp"

#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::data {

class RemoteStore final : public ObjectSource {
 public:
  // Lists the packs and reads the ends of those that are new. Blocks. Throws Error. `storage`
  // outlives it; `cache` is this remote's own folder, which can be deleted at any time.
  RemoteStore(Storage& storage, const fs::path& cache, const std::stop_token& stop = {});
  ~RemoteStore() override;

  // Lists the packs again. True if some have gone or come. Not beside other calls.
  bool reload(const std::stop_token& stop);

  [[nodiscard]] Storage& storage() const { return storage_; }
  [[nodiscard]] bool has(const Digest& id) const { return index_.find(id).has_value(); }
  [[nodiscard]] std::optional<Location> find(const Digest& id) const { return index_.find(id); }
  // Thread-safe. Nodes that lie near each other are read from the storage together.
  void read(const Digest& id, Bytes& plain) override;
  // Leaves the stored bytes, checked, in `stored` as well.
  void read_stored(const Location& location, Bytes& stored, Bytes& plain);

  // Sends objects of the local store, which lie where `objects` says, as one pack; returns the
  // bytes sent. Each object is checked on its way. Sends the pack again where
  // its writer says that this may help. Thread-safe.
  std::uint64_t send_pack(ObjectStore& local, PackKind kind, std::vector<PackEntry> entries,
                          Progress& progress);

  // Share a whole pack with the local store, where the storage has that ability and the two lie on
  // one file system: none is written. Of the remote's packs every byte is read and checked, of the
  // local store's those that were touched since their writer sealed them. Return the bytes of the
  // pack, or nullopt if it cannot be done or the pack is damaged: its objects go one by one then.
  // Thread-safe.
  std::optional<std::uint64_t> link_from(ObjectStore& local, const Digest& pack,
                                         Progress& progress);
  std::optional<std::uint64_t> link_to(ObjectStore& local, const Digest& pack, Progress& progress);

  // For a collection of garbage: what is in a pack; objects that lie in packs there, written as one
  // pack more, which is returned; packs taken away.
  [[nodiscard]] PackContents contents(const Digest& pack);
  Digest send_again(PackKind kind, const std::vector<Location>& objects);
  void remove(const std::vector<Digest>& packs);
  [[nodiscard]] const PackIndexSet& index() const { return index_; }

  // With their sizes, for check_pack().
  [[nodiscard]] const std::map<Digest, std::uint64_t>& packs() const { return packs_; }
  // Packs whose ends could not be understood, with the reason. Their objects count as missing.
  [[nodiscard]] const std::map<Digest, std::string>& damaged() const { return damaged_; }

 private:
  Error named(Error error, const Location& location) const;
  // The stored bytes of `count` objects from number `first` on, checked; valid until the next call.
  using ReadSome = std::function<std::span<const ByteSpan>(std::size_t first, std::size_t count)>;
  std::uint64_t send(PackKind kind, std::vector<PackEntry>& entries, const ReadSome& read,
                     Progress& progress, Digest& pack);

  Storage& storage_;
  PackIndexSet index_;
  std::map<Digest, std::uint64_t> packs_;
  std::map<Digest, std::string> damaged_;

  std::mutex window_mutex_; // the part of a pack of nodes that was read last
  Digest window_pack_;
  std::uint64_t window_offset_ = 0;
  Bytes window_;
};

// The local store, and a remote (may be null) for what it lacks. Thread-safe; both outlive it.
class LocalFirst final : public ObjectSource {
 public:
  LocalFirst(ObjectStore& local, RemoteStore* remote) : local_(local), remote_(remote) {}
  void read(const Digest& id, Bytes& plain) override {
    if (remote_ != nullptr && !local_.has(id))
      remote_->read(id, plain);
    else
      local_.read(id, plain);
  }

 private:
  ObjectStore& local_;
  RemoteStore* remote_;
};

// Where a remote's index files are kept below a project's cache folder.
[[nodiscard]] fs::path remote_cache(const fs::path& cache, const Storage& storage);

} // namespace mlp::data
