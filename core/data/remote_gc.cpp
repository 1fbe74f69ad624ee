// Refs go first, then nodes, then chunks, so that whatever is there has all below it. What is
// needed of a pack that goes lies in its new pack before.
#include "core/data/remote_gc.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/remote_claim.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

namespace mlp::data {

namespace {

constexpr std::chrono::seconds patience(30);
// A pack of chunks is fetched and sent again when this share of it is not needed.
constexpr double worth_rewriting = 0.5;

class RemoteSweeper {
 public:
  RemoteSweeper(RemoteStore& remote, const PackMarks& marks, RemoteClaim& claim, Progress& progress,
                const std::stop_token& stop)
      : remote_(remote), marks_(marks), claim_(claim), progress_(progress), stop_(stop) {}

  void sweep(const std::vector<Victim>& victims, PackKind kind) {
    for (const Victim& victim : victims) {
      if (victim.use.kind != kind) continue;
      throw_if_stopped(stop_);
      if (victim.use.needed_objects > 0) gather(victim.pack);
      emptied_.push_back(victim.pack);
      progress_.advance(victim.use.bytes);
      if (bytes_ >= target_pack_bytes || needed_.size() >= target_pack_entries || needed_.empty())
        finish(kind);
    }
    finish(kind);
  }

 private:
  void gather(const Digest& pack) {
    PackContents contents = remote_.contents(pack);
    // In the order in which they lie, so that what belongs together stays so.
    std::ranges::sort(contents.entries, {}, &PackEntry::offset);
    for (const PackEntry& entry : contents.entries) {
      if (!marks_.is_marked(entry.id, pack)) continue;
      needed_.push_back({pack, contents.kind, entry});
      bytes_ += entry.stored_size;
    }
  }

  void finish(PackKind kind) {
    if (!needed_.empty()) written_.insert(remote_.send_again(kind, needed_));
    needed_.clear();
    bytes_ = 0;
    // A pack may come into being again under the name of one that was made from it.
    std::erase_if(emptied_, [&](const Digest& pack) { return written_.contains(pack); });
    if (emptied_.empty()) return;
    claim_.renew();
    if (!claim_.held())
      throw Error(ErrorKind::conflict, "another command took the remote over meanwhile")
          .with_hint("run the command again; nothing that is needed was removed");
    remote_.remove(emptied_);
    emptied_.clear();
  }

  RemoteStore& remote_;
  const PackMarks& marks_;
  RemoteClaim& claim_;
  Progress& progress_;
  const std::stop_token& stop_;
  std::vector<Location> needed_; // of the packs that are emptied, not written yet
  std::uint64_t bytes_ = 0;
  std::vector<Digest> emptied_;
  std::unordered_set<Digest> written_;
};

// What is published, divided into what stays and what is to be forgotten.
std::set<Digest> choose_versions(Storage& storage, const RemoteGcOptions& options,
                                 RemoteGcResult& result) {
  std::set<Digest> needed;
  for (const std::string& dataset : remote_datasets(storage)) {
    std::set<Digest> named;
    if (const auto latest = latest_version(storage, dataset)) named.insert(*latest);
    for (const auto& [tag, version] : remote_tags(storage, dataset))
      named.insert(version);
    needed.insert(named.begin(), named.end());
    for (const Version& version : remote_versions(storage, dataset)) {
      const bool stays = !options.older_than || version.time >= *options.older_than ||
                         named.contains(version.digest) || options.keep.contains(version.digest);
      if (stays)
        needed.insert(version.digest);
      else
        result.forgotten.push_back({dataset, version});
    }
  }
  result.versions = needed.size();
  return needed;
}

} // namespace

RemoteGcResult collect_remote_garbage(RemoteStore& remote, const RemoteGcOptions& options) {
  Progress& progress = options.progress != nullptr ? *options.progress : no_progress();
  RemoteGcResult result;
  std::optional<RemoteClaim> claim;
  if (!options.dry_run) {
    claim.emplace(remote.storage(), ClaimKind::collection, patience, options.stop);
    if (auto* cleaner = remote.storage().ability<AbandonedWrites>())
      cleaner->remove_abandoned_writes();
    (void)remote.reload(options.stop);
  }
  if (!remote.damaged().empty())
    throw Error(ErrorKind::integrity,
                fmt::format("pack '{}' at '{}' is damaged, so what is needed is not known",
                            remote.damaged().begin()->first.short_hex(),
                            remote.storage().location()))
        .with_hint("'mlp data verify --remote' says more; a push with --check sends what it had");

  const std::set<Digest> needed = choose_versions(remote.storage(), options, result);
  PackMarks marks(remote.index());
  const std::vector<Digest> roots(needed.begin(), needed.end());
  result.absent_roots = mark_needed(remote, roots, marks, progress, options.stop);
  const std::vector<Victim> victims = choose_victims(marks, worth_rewriting, result);
  if (options.dry_run) return result;

  for (const auto& [dataset, version] : result.forgotten)
    forget_remote_version(remote.storage(), dataset, version.digest);
  std::uint64_t bytes = 0;
  for (const Victim& victim : victims)
    bytes += victim.use.bytes;
  progress.begin("removing the rest", bytes, ProgressUnit::bytes);
  RemoteSweeper sweeper(remote, marks, *claim, progress, options.stop);
  sweeper.sweep(victims, PackKind::meta);
  sweeper.sweep(victims, PackKind::data);
  progress.end();
  return result;
}

} // namespace mlp::data
