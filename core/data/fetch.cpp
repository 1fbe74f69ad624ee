// Walks the version, collects what is missing, and reads it in the order in which it lies.
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/missing.hpp"
#include "core/data/pack_sharing.hpp"
#include "core/data/task_pool.hpp"
#include "core/data/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <unordered_set>

namespace mlp::data {

namespace {

constexpr std::size_t max_range = 4u << 20;
constexpr std::uint64_t max_gap = 64 * 1024;

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
      : local_(local), remote_(remote), options_(options), progress_(options.progress_or_none()),
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
    progress_.count(linked.objects, "objects");
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
    progress_.count(linked.objects, "objects");
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
      progress_.count(1, "objects");
    }
    return missing;
  }

  static std::uint64_t end_of(const Location& location) {
    return location.entry.offset + entry_header_size + location.entry.stored_size;
  }

  // In the pool: objects of one pack that lie together.
  std::uint64_t read_range(const std::vector<Location>& some, std::uint64_t start,
                           std::uint64_t end) {
    thread_local Bytes range, room;
    range.resize(static_cast<std::size_t>(end - start));
    try {
      range.resize(remote_.storage().read(pack_name(some.front().pack), start, range));
      std::vector<PackEntry> entries;
      std::vector<ByteSpan> stored, plain;
      for (const Location& location : some) {
        const std::size_t offset =
            std::min(range.size(),
                     static_cast<std::size_t>(location.entry.offset - start) + entry_header_size);
        entries.push_back(location.entry);
        stored.push_back(ByteSpan(range).subspan(
            offset, std::min<std::size_t>(location.entry.stored_size, range.size() - offset)));
      }
      for (std::size_t i = 0, count = 0; i < entries.size(); i += count) {
        count = one_batch(std::span(entries).subspan(i));
        const auto these = std::span<const PackEntry>(entries).subspan(i, count);
        const auto bytes = std::span<const ByteSpan>(stored).subspan(i, count);
        check_stored(these, bytes, room, plain);
        (void)local_.put_stored(PackKind::data, these, bytes);
        for (const PackEntry& entry : these)
          progress_.advance(entry.stored_size);
        progress_.count(these.size(), "objects");
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

bool has_all_objects(ObjectStore& local, const Digest& manifest, const std::stop_token& stop) {
  struct Looking final : ObjectVisitor {
    Looking(ObjectStore& store, const std::stop_token& stop_given)
        : marks(store.index()), stop(stop_given) {}
    bool enter(const Digest& node) override {
      throw_if_stopped(stop);
      return look(node);
    }
    void chunk(const Ref& ref) override { (void)look(ref.id); }
    void leave(const Digest&) override {}
    // True if it is there and was not met before.
    bool look(const Digest& id) {
      const PackMarks::Mark mark = marks.mark(id);
      all = all && mark != PackMarks::Mark::missing;
      return all && mark == PackMarks::Mark::fresh;
    }
    PackMarks marks;
    const std::stop_token& stop;
    bool all = true;
  };
  Looking looking(local, stop);
  try {
    walk_objects(local, manifest, looking);
  } catch (const Error& error) { // a damaged node
    if (error.kind() != ErrorKind::integrity) throw;
    return false;
  }
  return looking.all;
}

TransferStats fetch_objects(ObjectStore& local, RemoteStore& remote, const Digest& manifest,
                            const TransferOptions& options) {
  Progress& progress = options.progress_or_none();
  Fetcher fetcher(local, remote, options);
  NodeSource source(local, remote, options.cache, fetcher.stats(), !options.dry_run);
  std::uint64_t total = 0;
  if (progress.is_seen() && !options.dry_run) {
    progress.begin("looking at what is missing", 0, ProgressUnit::count);
    local.prepare(options.stop);
    const MissingQuery query{.has_below = [](const Digest&) { return false; },
                             .find = [&](const Digest& id) -> std::optional<Location> {
                               if (local.has(id)) return std::nullopt;
                               const auto here =
                                   options.cache ? options.cache->find(id) : std::nullopt;
                               return here ? here : remote.find(id);
                             }};
    total = missing_bytes(source, manifest, query, options.stop);
  }
  progress.begin("fetching", total, ProgressUnit::bytes);
  walk_objects(source, manifest, fetcher);
  fetcher.finish();
  progress.end();
  return fetcher.stats();
}

} // namespace mlp::data
