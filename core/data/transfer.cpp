// Push plans packs while it walks the version, and sends them from a pool. Fetch walks it too,
// collects what is missing, and reads it in the order in which it lies.
#include "core/data/transfer.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/data/remote_claim.hpp"
#include "core/data/task_pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <unordered_set>

namespace mlp::data {

namespace {

constexpr unsigned default_senders = 2;
constexpr std::size_t max_range = 4u << 20;
constexpr std::uint64_t max_gap = 64 * 1024;
constexpr std::size_t batch_chunks = 32768; // about 2 GiB
// A pack of which this share is wanted is fetched whole where it need not be written.
constexpr double worth_linking = 0.8;

// What a batch of chunks has of each pack, in bytes as they lie there.
struct PackShare {
  std::uint64_t objects = 0, bytes = 0;
};
std::map<Digest, PackShare> shares_of(const std::vector<Location>& batch) {
  std::map<Digest, PackShare> shares;
  for (const Location& location : batch) {
    PackShare& share = shares[location.pack];
    ++share.objects;
    share.bytes += entry_header_size + location.entry.stored_size;
  }
  return shares;
}
std::uint64_t pack_bytes(std::uint64_t objects, std::uint64_t bytes) {
  return pack_header_size + bytes + objects * index_entry_size + pack_footer_size;
}

// Shares packs between two stores in the pool, with `link`, which returns the bytes of the pack it
// shared. What was shared leaves the batch. After one that cannot be, `possible` is false and no
// more are tried.
struct Linked {
  std::uint64_t objects = 0, bytes = 0, packs = 0;
};
template <class Link>
Linked link_packs(std::vector<Location>& batch, const std::vector<Digest>& packs, TaskPool& pool,
                  bool& possible, const Link& link) {
  Linked result;
  std::vector<std::pair<Digest, std::future<std::optional<std::uint64_t>>>> linking;
  std::unordered_set<Digest> linked;
  const auto take = [&] {
    for (auto& [pack, bytes] : linking) {
      if (const auto size = bytes.get()) {
        linked.insert(pack);
        result.bytes += *size;
        ++result.packs;
      } else {
        possible = false;
      }
    }
    linking.clear();
  };
  for (const Digest& pack : packs) {
    if (!possible) break;
    linking.emplace_back(pack, pool.submit([link, pack] { return link(pack); }));
    // The first alone, to see whether it can be done.
    if (linked.empty() || linking.size() > 2 * pool.threads()) take();
  }
  take();
  result.objects = static_cast<std::uint64_t>(std::erase_if(
      batch, [&](const Location& location) { return linked.contains(location.pack); }));
  return result;
}

// Packs of which most is wanted.
template <class SizeOf>
std::vector<Digest> worth_sharing(const std::vector<Location>& batch, const SizeOf& size_of) {
  std::vector<Digest> most;
  for (const auto& [pack, share] : shares_of(batch)) {
    const std::optional<std::uint64_t> size = size_of(pack);
    if (size && static_cast<double>(share.bytes) >= worth_linking * static_cast<double>(*size))
      most.push_back(pack);
  }
  return most;
}

Progress& progress_of(const TransferOptions& options) {
  return options.progress != nullptr ? *options.progress : no_progress();
}

class Pusher final : public ObjectVisitor {
 public:
  Pusher(ObjectStore& local, RemoteStore& remote, const TransferOptions& options)
      : local_(local), remote_(remote), options_(options), progress_(progress_of(options)),
        can_link_(remote.storage().ability<LinkedObjects>() != nullptr),
        pool_(options.jobs != 0 ? std::min(options.jobs, 8u) : default_senders, 1) {}

  bool enter(const Digest& node) override {
    throw_if_stopped(options_.stop);
    // Where packs are known to be damaged, what lies below a node may be gone.
    const bool relies = !options_.check && remote_.damaged().empty();
    return !(relies && remote_.has(node)) && nodes_seen_.insert(node).second;
  }

  void chunk(const Ref& ref) override {
    if (remote_.has(ref.id) || !planned_.insert(ref.id).second) return;
    batch_.push_back(location_of(ref.id));
    if (batch_.size() >= batch_chunks) plan_batch();
  }

  void leave(const Digest& node) override {
    if (!remote_.has(node)) nodes_.push_back(location_of(node).entry);
  }

  TransferStats finish() {
    plan_batch();
    if (!data_.entries.empty()) send(std::move(data_));
    while (!sending_.empty())
      take_first();
    // Children before parents, one pack after the other: the closure rule.
    for (const PackEntry& node : nodes_) {
      plan(data_, node);
      if (data_.size >= target_pack_bytes || data_.entries.size() >= target_pack_entries)
        send_nodes();
    }
    if (!data_.entries.empty()) send_nodes();
    return stats_;
  }

 private:
  struct Plan {
    std::vector<PackEntry> entries;
    std::uint64_t size = 0;
  };
  struct Sending {
    std::vector<Digest> ids;
    std::future<std::uint64_t> bytes;
  };

  Location location_of(const Digest& id) {
    auto location = local_.find(id);
    if (!location)
      throw Error(ErrorKind::not_found,
                  fmt::format("object '{}' is not in the local store", id.short_hex()))
          .with_hint(
              "run 'mlp data verify' to see what is missing; 'mlp data add' stores it again");
    return *location;
  }

  void plan_batch() {
    if (can_link_ && !options_.dry_run) link_batch();
    for (const Location& location : batch_) {
      plan(data_, location.entry);
      if (data_.size >= target_pack_bytes || data_.entries.size() >= target_pack_entries)
        send(std::move(data_));
    }
    batch_.clear();
  }

  // Packs of which all is to be sent, so that nothing else goes with it.
  void link_batch() {
    std::vector<Digest> whole;
    for (const auto& [pack, share] : shares_of(batch_)) {
      std::error_code gone;
      if (fs::file_size(local_.pack_path(pack), gone) == pack_bytes(share.objects, share.bytes))
        whole.push_back(pack);
    }
    const std::vector<Location> before = batch_;
    count(link_packs(batch_, whole, pool_, can_link_, [&](const Digest& pack) {
      return remote_.link_from(local_, pack, progress_);
    }));
    if (batch_.size() == before.size()) return;
    for (const Location& location : before) // the remote's index answers for them from now on
      planned_.erase(location.entry.id);
    for (const Location& location : batch_)
      planned_.insert(location.entry.id);
  }

  void plan(Plan& plan, const PackEntry& entry) {
    plan.entries.push_back(entry);
    plan.size += entry_header_size + entry.stored_size;
    ++stats_.objects;
  }

  void count(const Linked& linked) {
    stats_.objects += linked.objects;
    stats_.bytes += linked.bytes;
    stats_.packs += linked.packs;
  }

  static std::uint64_t packed_size(const Plan& plan) {
    return pack_bytes(plan.entries.size(), plan.size);
  }

  void send(Plan plan) {
    data_ = {};
    ++stats_.packs;
    if (options_.dry_run) {
      stats_.bytes += packed_size(plan);
      return; // the ids stay planned: nothing is counted twice
    }
    while (sending_.size() > pool_.threads())
      take_first();
    Sending sending;
    for (const auto& entry : plan.entries)
      sending.ids.push_back(entry.id);
    sending.bytes = pool_.submit([this, entries = std::move(plan.entries)] {
      return remote_.send_pack(local_, PackKind::data, entries, progress_);
    });
    sending_.push_back(std::move(sending));
  }

  void send_nodes() {
    throw_if_stopped(options_.stop);
    ++stats_.packs;
    stats_.bytes += options_.dry_run ? packed_size(data_)
                                     : remote_.send_pack(local_, PackKind::meta,
                                                         std::move(data_.entries), progress_);
    data_ = {};
  }

  void take_first() {
    stats_.bytes += sending_.front().bytes.get();
    if (options_.claim != nullptr) options_.claim->renew();
    // The remote's index answers for them from now on.
    for (const Digest& id : sending_.front().ids)
      planned_.erase(id);
    sending_.pop_front();
  }

  ObjectStore& local_;
  RemoteStore& remote_;
  const TransferOptions& options_;
  Progress& progress_;
  TransferStats stats_;
  std::unordered_set<Digest> nodes_seen_;
  std::unordered_set<Digest> planned_;
  std::vector<PackEntry> nodes_; // in the order in which they were left
  std::vector<Location> batch_;
  bool can_link_;
  Plan data_;
  std::deque<Sending> sending_;
  TaskPool pool_; // last: its tasks use the rest
};

// Nodes from the local store, or else from the cache or the remote, which are then stored.
class NodeSource final : public ObjectSource {
 public:
  NodeSource(ObjectStore& local, RemoteStore& remote, UserCache* cache, TransferStats& stats,
             bool store)
      : local_(local), remote_(remote), cache_(cache), stats_(stats), store_(store) {}
  void read(const Digest& id, Bytes& plain) override {
    if (const auto location = local_.find(id)) {
      try {
        local_.read_stored(*location, stored_, plain);
        return;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::integrity || !remote_.has(id)) throw;
      }
    }
    const auto shared = cache_ != nullptr ? cache_->find(id) : std::nullopt;
    if (shared && cache_->read_stored(*shared, stored_, plain)) {
      ++stats_.cached_objects;
      stats_.cached_bytes += stored_.size();
      if (store_) local_.put_stored(PackKind::meta, shared->entry, stored_);
      return;
    }
    const auto location = remote_.find(id);
    if (!location) remote_.read(id, plain); // throws the error that names it
    remote_.read_stored(*location, stored_, plain);
    ++stats_.objects;
    stats_.bytes += stored_.size();
    if (store_) local_.put_stored(PackKind::meta, location->entry, stored_);
  }

 private:
  ObjectStore& local_;
  RemoteStore& remote_;
  UserCache* cache_;
  TransferStats& stats_;
  bool store_;
  Bytes stored_;
};

class Fetcher final : public ObjectVisitor {
 public:
  Fetcher(ObjectStore& local, RemoteStore& remote, const TransferOptions& options)
      : local_(local), remote_(remote), options_(options), progress_(progress_of(options)),
        can_link_(remote.storage().ability<LinkedObjects>() != nullptr),
        pool_(options.jobs != 0
                  ? std::min(options.jobs, 16u)
                  : std::max(std::min(remote.storage().parallel_reads(), 16u), choose_threads(0)),
              2) {}

  bool enter(const Digest& node) override {
    throw_if_stopped(options_.stop);
    return nodes_seen_.insert(node).second;
  }
  void chunk(const Ref& ref) override {
    if (local_.has(ref.id) || !wanted_.insert(ref.id).second) return;
    if (const auto here = options_.cache ? options_.cache->find(ref.id) : std::nullopt)
      shared_.push_back(*here);
    else
      batch_.push_back(at_remote(ref.id));
    if (batch_.size() + shared_.size() >= batch_chunks) fetch();
  }
  void leave(const Digest&) override {}

  void finish() {
    fetch();
    if (!options_.dry_run) local_.flush();
  }
  TransferStats& stats() { return stats_; }

 private:
  void fetch() {
    if (!options_.dry_run && !(shared_.empty() && batch_.empty())) {
      local_.prepare(options_.stop);
      if (!shared_.empty()) take_shared();
      if (can_link_) link_batch();
    }
    for (const Location& location : shared_) { // dry run
      ++stats_.cached_objects;
      stats_.cached_bytes += location.entry.stored_size;
    }
    shared_.clear();
    std::sort(batch_.begin(), batch_.end(), [](const Location& a, const Location& b) {
      return std::pair(a.pack, a.entry.offset) < std::pair(b.pack, b.entry.offset);
    });
    std::deque<std::future<std::uint64_t>> reading;
    const auto take_first = [&] {
      stats_.bytes += reading.front().get();
      reading.pop_front();
    };
    for (auto first = batch_.begin(); first != batch_.end();) {
      throw_if_stopped(options_.stop);
      auto last = first + 1;
      const std::uint64_t start = first->entry.offset;
      std::uint64_t end = end_of(*first);
      while (last != batch_.end() && last->pack == first->pack &&
             last->entry.offset <= end + max_gap && end_of(*last) - start <= max_range) {
        end = end_of(*last);
        ++last;
      }
      stats_.objects += static_cast<std::uint64_t>(last - first);
      if (options_.dry_run) {
        stats_.bytes += end - start;
      } else {
        while (reading.size() > 2 * pool_.threads())
          take_first();
        reading.push_back(pool_.submit([this, some = std::vector<Location>(first, last), start,
                                        end] { return read_range(some, start, end); }));
      }
      first = last;
    }
    while (!reading.empty())
      take_first();
    batch_.clear();
    if (options_.dry_run) return; // what is wanted is then not counted twice
    local_.flush();
    wanted_.clear();
  }

  Location at_remote(const Digest& id) {
    const auto location = remote_.find(id);
    if (!location)
      throw Error(ErrorKind::not_found, fmt::format("object '{}' is not at '{}'", id.short_hex(),
                                                    remote_.storage().location()))
          .with_hint("run 'mlp data push' where the data was added");
    return *location;
  }

  void link_batch() {
    const auto most =
        worth_sharing(batch_, [&](const Digest& pack) -> std::optional<std::uint64_t> {
          const auto size = remote_.packs().find(pack);
          return size == remote_.packs().end() ? std::nullopt : std::optional(size->second);
        });
    const Linked linked = link_packs(batch_, most, pool_, can_link_, [&](const Digest& pack) {
      return remote_.link_to(local_, pack, progress_);
    });
    stats_.objects += linked.objects;
    stats_.bytes += linked.bytes;
    stats_.packs += linked.packs;
  }

  // What the user's cache has: whole packs, and then objects one by one, a pack a task. What it
  // turns out not to have joins what the remote is asked for.
  void take_shared() {
    UserCache& cache = *options_.cache;
    const auto most =
        worth_sharing(shared_, [&](const Digest& pack) { return cache.pack_size(pack); });
    bool possible = true;
    const Linked linked = link_packs(shared_, most, pool_, possible, [&](const Digest& pack) {
      return cache.share(pack, local_, progress_);
    });
    stats_.cached_objects += linked.objects;
    stats_.cached_bytes += linked.bytes;

    std::ranges::sort(shared_, {}, [](const Location& location) {
      return std::pair(location.pack, location.entry.offset);
    });
    std::deque<std::future<std::vector<Location>>> copying;
    std::vector<Digest> missing;
    const auto take_first = [&] {
      for (const Location& location : copying.front().get()) {
        --stats_.cached_objects;
        stats_.cached_bytes -= location.entry.stored_size;
        missing.push_back(location.entry.id);
      }
      copying.pop_front();
    };
    for (auto first = shared_.begin(); first != shared_.end();) {
      throw_if_stopped(options_.stop);
      const auto last = std::find_if(first, shared_.end(), [&](const Location& location) {
        return location.pack != first->pack;
      });
      for (auto it = first; it != last; ++it) {
        ++stats_.cached_objects;
        stats_.cached_bytes += it->entry.stored_size;
      }
      while (copying.size() > pool_.threads())
        take_first();
      copying.push_back(pool_.submit(
          [this, some = std::vector<Location>(first, last)] { return copy_shared(some); }));
      first = last;
    }
    while (!copying.empty())
      take_first();
    shared_.clear();
    for (const Digest& id : missing)
      batch_.push_back(at_remote(id));
  }

  // In the pool. Returns what could not be had.
  std::vector<Location> copy_shared(const std::vector<Location>& some) {
    std::vector<Location> missing;
    Bytes stored, plain;
    for (const Location& location : some) {
      if (!options_.cache->read_stored(location, stored, plain)) {
        missing.push_back(location);
        continue;
      }
      local_.put_stored(PackKind::data, location.entry, stored);
      progress_.advance(location.entry.stored_size);
    }
    return missing;
  }

  static std::uint64_t end_of(const Location& location) {
    return location.entry.offset + entry_header_size + location.entry.stored_size;
  }

  // In the pool: objects of one pack that lie together.
  std::uint64_t read_range(const std::vector<Location>& some, std::uint64_t start,
                           std::uint64_t end) {
    thread_local Bytes range, plain;
    range.resize(static_cast<std::size_t>(end - start));
    try {
      range.resize(remote_.storage().read(pack_name(some.front().pack), start, range));
      for (const Location& location : some) {
        const std::size_t offset =
            static_cast<std::size_t>(location.entry.offset - start) + entry_header_size;
        const ByteSpan stored =
            offset >= range.size()
                ? ByteSpan()
                : ByteSpan(range).subspan(offset, std::min<std::size_t>(location.entry.stored_size,
                                                                        range.size() - offset));
        check_stored(location.entry, stored, plain);
        local_.put_stored(PackKind::data, location.entry, stored);
        progress_.advance(location.entry.stored_size);
      }
    } catch (Error& error) {
      error.add_context(fmt::format("while fetching pack '{}' from '{}'",
                                    some.front().pack.short_hex(), remote_.storage().location()));
      if (error.kind() == ErrorKind::integrity)
        error.add_hint("run 'mlp data verify --remote' to see what is affected");
      throw;
    }
    return end - start;
  }

  ObjectStore& local_;
  RemoteStore& remote_;
  const TransferOptions& options_;
  Progress& progress_;
  TransferStats stats_;
  std::unordered_set<Digest> nodes_seen_;
  std::unordered_set<Digest> wanted_;
  std::vector<Location> batch_;  // at the remote
  std::vector<Location> shared_; // in the user's cache
  bool can_link_;
  TaskPool pool_; // last: its tasks use the rest
};

} // namespace

TransferStats& TransferStats::operator+=(const TransferStats& other) noexcept {
  objects += other.objects;
  bytes += other.bytes;
  packs += other.packs;
  cached_objects += other.cached_objects;
  cached_bytes += other.cached_bytes;
  return *this;
}

TransferStats push_objects(ObjectStore& local, RemoteStore& remote, const Digest& manifest,
                           const TransferOptions& options) {
  if (!options.dry_run) {
    if (auto* cleaner = remote.storage().ability<AbandonedWrites>())
      cleaner->remove_abandoned_writes();
  }
  progress_of(options).begin("pushing", 0, ProgressUnit::bytes);
  Pusher pusher(local, remote, options);
  walk_objects(local, manifest, pusher);
  const TransferStats stats = pusher.finish();
  progress_of(options).end();
  return stats;
}

TransferStats fetch_objects(ObjectStore& local, RemoteStore& remote, const Digest& manifest,
                            const TransferOptions& options) {
  progress_of(options).begin("fetching", 0, ProgressUnit::bytes);
  Fetcher fetcher(local, remote, options);
  NodeSource source(local, remote, options.cache, fetcher.stats(), !options.dry_run);
  walk_objects(source, manifest, fetcher);
  fetcher.finish();
  progress_of(options).end();
  return fetcher.stats();
}

} // namespace mlp::data
