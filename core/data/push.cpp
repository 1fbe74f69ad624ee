// Plans packs while it walks the version, and sends them from a pool.
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/missing.hpp"
#include "core/data/pack_sharing.hpp"
#include "core/data/remote_claim.hpp"
#include "core/data/task_pool.hpp"
#include "core/data/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <unordered_set>

namespace mlp::data {

namespace {

constexpr unsigned default_senders = 2;

class Pusher final : public ObjectVisitor {
 public:
  Pusher(ObjectStore& local, RemoteStore& remote, const TransferOptions& options)
      : local_(local), remote_(remote), options_(options), progress_(options.progress_or_none()),
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
    progress_.count(linked.objects, "objects");
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
    progress_.count(sending_.front().ids.size(), "objects");
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

} // namespace

TransferStats push_objects(ObjectStore& local, RemoteStore& remote, const Digest& manifest,
                           const TransferOptions& options) {
  if (!options.dry_run) {
    if (auto* cleaner = remote.storage().ability<AbandonedWrites>())
      cleaner->remove_abandoned_writes();
  }
  Progress& progress = options.progress_or_none();
  std::uint64_t total = 0;
  if (progress.is_seen() && !options.dry_run) {
    const MissingQuery query{
        .has_below = [&](const Digest& node) { return !options.check && remote.has(node); },
        .find = [&](const Digest& id) { return remote.has(id) ? std::nullopt : local.find(id); }};
    total = missing_bytes(local, manifest, query, options.stop);
  }
  progress.begin("pushing", total, ProgressUnit::bytes);
  Pusher pusher(local, remote, options);
  walk_objects(local, manifest, pusher);
  const TransferStats stats = pusher.finish();
  progress.end();
  return stats;
}

} // namespace mlp::data
