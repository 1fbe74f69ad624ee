// Objects on demand, for a mount: from memory, else the local store, else the cache on disk, else
// the remote. Few threads read from the remote, several neighbouring objects of a pack at a time;
// what is asked for now goes before what is read ahead.
//
// The remote may come and go. While it does not answer, what is not here fails at once with the
// reason, and it is asked again after a pause that grows to ten seconds.
#pragma once

#include "core/base/error.hpp"
#include "core/data/chunk_cache.hpp"
#include "core/data/manifest.hpp"
#include "core/data/remote_store.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace mlp::data {

// Opens the remote, listing its packs; blocks; throws Error. What it gives keeps its storage alive.
using OpenRemoteStore = std::function<std::shared_ptr<RemoteStore>()>;

struct FetchOptions {
  std::size_t memory = 72u << 20; // of plain objects that are kept
  std::size_t ahead = 32u << 20;  // of objects that are being read ahead, at most
  unsigned threads = 8;           // reads at a time
  // How long a read waits while nothing arrives before it fails as unreachable; the fetch itself
  // goes on.
  std::chrono::milliseconds patience{60'000};
};

// While one lives, reads of this thread end with Error(interrupted) once `cancelled` says so; it is
// asked about ten times a second, while there is something to wait for.
class CancelScope {
 public:
  explicit CancelScope(std::function<bool()> cancelled);
  ~CancelScope();
  CancelScope(CancelScope&&) = delete;

 private:
  std::function<bool()> cancelled_;
  const std::function<bool()>* outer_;
};

// Thread-safe.
class ChunkFetcher final : public ObjectSource {
 public:
  using Chunk = std::shared_ptr<const Bytes>;

  // `cache` outlives it and may be null; `open_remote` may be empty. Opens nothing.
  ChunkFetcher(std::shared_ptr<ObjectStore> local, ChunkCache* cache, OpenRemoteStore open_remote,
               FetchOptions options = {});
  // Waits for the reads that run.
  ~ChunkFetcher() override;

  // The object's plain bytes, checked. Throws Error: not_found, integrity, unreachable and what
  // else a storage throws; interrupted (CancelScope). Never wrong bytes.
  [[nodiscard]] Chunk get(const Digest& id);
  void read(const Digest& id, Bytes& plain) override;

  // Begins to fetch what is not in memory, in this order and up to the limit of FetchOptions;
  // returns how many of them were looked at. With `remote_only` what is here is left to get().
  // Never blocks on a network, never throws for it.
  std::size_t read_ahead(std::span<const Ref> chunks, bool remote_only = false);
  // Those who read ahead at the same time share the memory: how far each may go.
  void join_readers() { ++readers_; }
  void leave_readers() { --readers_; }
  [[nodiscard]] std::uint64_t share() const;

  // Reads from this local store from now on: what was added since is then seen.
  void use_local(std::shared_ptr<ObjectStore> local);
  // Opens the remote now if that has not been done, in the background.
  void warm_up();
  // The remote, opened if need be; a new one if `fresh` (what was pushed since is then seen).
  // nullptr if there is none. Blocks; throws Error.
  [[nodiscard]] std::shared_ptr<RemoteStore> remote(bool fresh = false);

 private:
  struct Slot { // an object on its way
    Chunk chunk;
    std::optional<Error> error; // each who waits throws a copy
    bool done = false;
    std::size_t ahead = 0; // bytes that count as read ahead
  };
  struct Wanted {
    Digest id;
    std::optional<Location> location; // where the remote has it, if that is known yet
    std::shared_ptr<Slot> slot;
  };
  using Job = std::vector<Wanted>; // of one pack, in the order in which they lie, or local ones

  [[nodiscard]] std::shared_ptr<ObjectStore> local() const;
  [[nodiscard]] Chunk remembered(const Digest& id);      // with mutex_ held
  void remember(const Digest& id, Chunk chunk);          // with mutex_ held
  [[nodiscard]] Chunk from_here(const Digest& id);       // store and cache
  [[nodiscard]] bool is_damaged(const Digest& id) const; // here, as was found before
  void set_damaged(const Digest& id);
  [[nodiscard]] Chunk wait(const Digest& id, const std::shared_ptr<Slot>& slot);
  void work();
  void run(Job job);
  void read_range(const Job& job, RemoteStore& remote);
  void fetch_one(const Wanted& wanted);
  void finish(const Wanted& wanted, Chunk chunk, std::optional<Error> error = std::nullopt);
  void read_with_neighbours(const Location& location, RemoteStore& remote, Bytes& plain);
  [[nodiscard]] std::uint64_t neighbourhood(const Location& location);
  void check_remote_rests();
  void remote_failed(const Error& error);
  void remote_answered();

  ChunkCache* cache_;
  OpenRemoteStore open_remote_;
  const FetchOptions options_;

  std::atomic<unsigned> readers_{0};
  std::atomic<std::uint64_t> range_limit_{2u << 20}; // of one read of the remote

  std::mutex mutex_;
  std::condition_variable work_, ready_;
  std::unordered_map<Digest, std::shared_ptr<Slot>> on_the_way_;
  std::deque<Job> urgent_, ahead_;
  std::size_t ahead_bytes_ = 0;
  std::chrono::steady_clock::time_point last_arrival_{};
  bool stopping_ = false;
  std::list<std::pair<Digest, Chunk>> memory_; // most recently used first
  std::unordered_map<Digest, std::list<std::pair<Digest, Chunk>>::iterator> in_memory_;
  std::size_t memory_bytes_ = 0;

  // Places in packs where reading may go on: small files that are read in order lie in order.
  struct Stream {
    Digest pack;
    std::uint64_t next = 0, size = 0;
  };
  std::mutex streams_mutex_;
  std::deque<Stream> streams_; // the latest last

  std::mutex open_mutex_;           // held while the remote is opened
  mutable std::mutex remote_mutex_; // over all below but threads_
  std::shared_ptr<ObjectStore> local_;
  std::unordered_set<Digest> damaged_; // in the local store
  std::shared_ptr<RemoteStore> remote_;
  std::chrono::steady_clock::time_point opened_{};
  std::chrono::steady_clock::time_point rests_until_{};
  std::chrono::milliseconds pause_{0}; // 0: the remote answers
  std::optional<Error> reason_;
  std::vector<std::thread> threads_;
};

} // namespace mlp::data
