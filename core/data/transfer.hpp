// Sending a version to a remote and fetching it from there: only what is missing, several packs or
// ranges at a time, and so that an interrupted transfer goes on where it stopped. In push.cpp and
// fetch.cpp.
//
// The closure rule: a node is sent only after all that it needs. So a remote that has a node has
// everything below it, and a push of something that is there is one question.
#pragma once

#include "core/base/progress.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/remote_store.hpp"
#include "core/data/user_cache.hpp"

#include <optional>
#include <stop_token>
#include <string>

namespace mlp::data {

class RemoteClaim;

struct TransferOptions {
  unsigned jobs = 0;            // packs or ranges at a time; 0: chosen
  bool dry_run = false;         // only count
  bool check = false;           // push: do not rely on the closure rule, ask for every object
  UserCache* cache = nullptr;   // fetch: asked before the remote; may be null
  RemoteClaim* claim = nullptr; // push: renewed while it goes on; may be null
  Progress* progress = nullptr;
  std::stop_token stop;
  [[nodiscard]] Progress& progress_or_none() const {
    return progress != nullptr ? *progress : no_progress();
  }
};

struct TransferStats {
  std::uint64_t objects = 0;        // sent or fetched
  std::uint64_t bytes = 0;          // as sent or fetched
  std::uint64_t packs = 0;          // sent
  std::uint64_t cached_objects = 0; // had from the cache; not among `objects`
  std::uint64_t cached_bytes = 0;
  TransferStats& operator+=(const TransferStats& other) noexcept {
    objects += other.objects;
    bytes += other.bytes;
    packs += other.packs;
    cached_objects += other.cached_objects;
    cached_bytes += other.cached_bytes;
    return *this;
  }
};

// Whether the local store has all that the version needs. A manifest that is here does not say so:
// a fetch may have been interrupted. Throws Error(interrupted).
[[nodiscard]] bool has_all_objects(ObjectStore& local, const Digest& manifest,
                                   const std::stop_token& stop);

// Sends what the version needs and the remote lacks; nodes last. Blocks. Throws Error; what was
// sent stays and is not sent again. Pushes of others at the same time do no harm.
TransferStats push_objects(ObjectStore& local, RemoteStore& remote, const Digest& manifest,
                           const TransferOptions& options);

// Fetches what the version needs and the local store lacks, and makes it durable. The same.
TransferStats fetch_objects(ObjectStore& local, RemoteStore& remote, const Digest& manifest,
                            const TransferOptions& options);

} // namespace mlp::data
