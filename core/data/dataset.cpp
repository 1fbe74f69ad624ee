// Wiring of scan, store, checkout and transfer to mlp.yaml and mlp.lock.
#include "core/data/dataset.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/data/remote_claim.hpp"
#include "core/data/select.hpp"
#include "core/data/version_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace mlp::data {

namespace {

constexpr std::size_t kept_changes = 10000;
constexpr std::chrono::minutes longest_wait(10); // for a collection of a remote's garbage

bool is_within(const fs::path& path, const fs::path& folder) {
  const auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

Error not_added(const DatasetName& dataset) {
  return Error(ErrorKind::not_found,
               fmt::format("dataset '{}' has no version in mlp.lock", dataset.name))
      .with_hint(fmt::format("make one with: mlp data add {}", dataset.name));
}

} // namespace

Datasets::Datasets(const config::Project& project, Progress& progress, std::stop_token stop,
                   unsigned jobs, int compression_level)
    : project_(project), progress_(progress), stop_(std::move(stop)), jobs_(jobs),
      store_(project.objects(), compression_level) {}

fs::path Datasets::path_of(const DatasetName& dataset) const {
  const fs::path path = (project_.root / dataset.path).lexically_normal();
  fs::path clean = path.has_filename() ? path : path.parent_path(); // "data/" is "data"
  if (is_within(project_.state(), clean) || is_within(clean, project_.state()) ||
      clean == project_.file() || clean == project_.lock_file())
    throw Error(ErrorKind::config,
                fmt::format("the path '{}' of dataset '{}' takes in the project's own files",
                            dataset.path, dataset.name))
        .with_hint("keep the data in a folder of its own, such as data/");
  return clean;
}

void Datasets::use_cache(std::unique_ptr<UserCache> cache, LinkMode link, bool relink) {
  cache_ = std::move(cache);
  link_ = link;
  relink_ = relink;
}

TransferOptions Datasets::transfer_options(bool dry_run) {
  return {.jobs = jobs_,
          .dry_run = dry_run,
          .cache = cache_.get(),
          .progress = &progress_,
          .stop = stop_};
}

TransferStats Datasets::fetch_from(RemoteStore& remote, const Digest& version, bool dry_run) {
  try {
    return fetch_objects(store_, remote, version, transfer_options(dry_run));
  } catch (const Error& error) {
    // Garbage was collected there since: what is needed lies in other packs now.
    if (error.kind() != ErrorKind::not_found || !remote.reload(stop_)) throw;
    return fetch_objects(store_, remote, version, transfer_options(dry_run));
  }
}

CheckoutStats Datasets::place(const DatasetName& dataset, const Entry& version, bool force,
                              bool dry_run) {
  const fs::path root = path_of(dataset);
  CheckoutOptions options = checkout_options(cache_of(dataset), force, dry_run);
  LinkedFiles links(cache_ ? cache_->files() : fs::path(), root, cache_ ? link_ : LinkMode::copy);
  options.links = &links;
  options.relink = relink_;
  const CheckoutStats stats = data::checkout(root, version, store_, options);
  if (!dry_run && links.mode() != LinkMode::copy) (void)cache_->trim();
  return stats;
}

CheckoutOptions Datasets::checkout_options(fs::path cache, bool force, bool dry_run) const {
  return {.cache = std::move(cache),
          .force = force,
          .dry_run = dry_run,
          .jobs = jobs_,
          .progress = &progress_,
          .stop = stop_};
}

fs::path Datasets::cache_of(const DatasetName& dataset) const {
  return project_.cache() / "stat" / dataset.name;
}

config::DatasetLock Datasets::pinned(const DatasetName& dataset) const {
  const config::LockFile lock = config::load_lock_file(project_);
  const auto it = lock.datasets.find(dataset.name);
  if (it == lock.datasets.end()) throw not_added(dataset);
  return it->second;
}

std::uint64_t Datasets::likely_bytes(const DatasetName& dataset, const fs::path& root) const {
  std::error_code is_folder;
  const std::uintmax_t size = fs::file_size(root, is_folder);
  if (!is_folder) return size;
  const config::LockFile lock = config::load_lock_file(project_);
  const auto it = lock.datasets.find(dataset.name);
  return it == lock.datasets.end() ? 0 : it->second.bytes;
}

AddResult Datasets::add(const DatasetName& dataset, bool dry_run) {
  return with_context(fmt::format("while adding dataset '{}'", dataset.name), [&] {
    const fs::path root = path_of(dataset);
    AddResult result;
    const StoreStats before = store_.stats();
    if (!dry_run) store_.prepare(stop_);
    HashOnly hash_only;
    ObjectSink& sink = dry_run ? static_cast<ObjectSink&>(hash_only) : store_;
    VersionBuilder build(sink);
    progress_.begin(fmt::format("adding {}", dataset.name), likely_bytes(dataset, root),
                    ProgressUnit::bytes);
    result.scanned = scan(root, sink, build,
                          {.cache = cache_of(dataset),
                           .new_cache = dry_run ? fs::path() : cache_of(dataset),
                           .token = store_.token(),
                           .records = true,
                           .jobs = jobs_,
                           .progress = &progress_,
                           .stop = stop_},
                          [&] {
                            std::tie(result.version, result.totals) = build.finish();
                            if (!dry_run) store_.flush();
                          });
    progress_.end();
    const config::DatasetLock pin{result.version, result.totals.files, result.totals.bytes};
    if (dry_run) {
      const config::LockFile lock = config::load_lock_file(project_);
      const auto it = lock.datasets.find(dataset.name);
      result.changed = it == lock.datasets.end() || it->second != pin;
    } else {
      record(dataset, result.version, result.totals);
      config::update_lock(project_, [&](config::LockFile& lock) {
        config::DatasetLock& held = lock.datasets[dataset.name];
        result.changed = held != pin;
        held = pin;
      });
    }
    result.stored = store_.stats();
    result.stored.new_objects -= before.new_objects;
    result.stored.new_bytes -= before.new_bytes;
    result.stored.stored_bytes -= before.stored_bytes;
    result.stored.known_objects -= before.known_objects;
    result.stored.known_bytes -= before.known_bytes;
    return result;
  });
}

StatusResult Datasets::status(const DatasetName& dataset) {
  return with_context(fmt::format("while comparing dataset '{}'", dataset.name), [&] {
    StatusResult result;
    const fs::path root = path_of(dataset);
    const config::LockFile lock = config::load_lock_file(project_);
    const auto it = lock.datasets.find(dataset.name);
    std::error_code ignored;
    result.missing = !fs::exists(root, ignored);
    if (it == lock.datasets.end()) return result;
    result.pinned = it->second;
    if (!store_.has(it->second.digest)) result.fetched = false;
    if (result.missing || !result.fetched) return result;

    CompareVisitor compare(store_, read_manifest(store_, it->second.digest),
                           [&](const Change& change) {
                             switch (change.kind) {
                             case ChangeKind::added:
                               ++result.added;
                               break;
                             case ChangeKind::removed:
                               ++result.removed;
                               break;
                             default:
                               ++result.modified;
                             }
                             if (result.changes.size() < kept_changes)
                               result.changes.push_back(change);
                           });
    HashOnly sink;
    progress_.begin(fmt::format("comparing {}", dataset.name), it->second.bytes,
                    ProgressUnit::bytes);
    (void)scan(root, sink, compare,
               {.cache = cache_of(dataset),
                .token = store_.token(),
                .jobs = jobs_,
                .progress = &progress_,
                .stop = stop_});
    compare.finish();
    progress_.end();
    return result;
  });
}

PushResult Datasets::push(const DatasetName& dataset, RemoteStore& remote, bool dry_run,
                          bool check) {
  return with_context(fmt::format("while pushing dataset '{}'", dataset.name), [&] {
    PushResult result;
    result.version = pinned(dataset).digest;
    result.totals = version_totals(read_manifest(store_, result.version));
    TransferOptions options = transfer_options(dry_run);
    options.check = check;
    if (dry_run) {
      result.sent = push_objects(store_, remote, result.version, options);
      return result;
    }
    // A collection of garbage that took this push for dead may have removed what it relied on.
    for (bool sure = false; !sure;) {
      RemoteClaim claim(remote.storage(), ClaimKind::push, longest_wait, stop_);
      (void)remote.reload(stop_); // what was listed before may have gone
      options.claim = &claim;
      result.sent += push_objects(store_, remote, result.version, options);
      publish_version(remote.storage(), dataset.name,
                      {result.version, result.totals.files, result.totals.bytes, wall_now()});
      for (const auto& [tag, version] : known(dataset).tags())
        if (version == result.version) publish_tag(remote.storage(), dataset.name, tag, version);
      sure = claim.held();
      options.check = true;
    }
    if (cache_) cache_->keep(store_, stop_);
    return result;
  });
}

PullResult Datasets::pull(const DatasetName& dataset, RemoteStore* remote, bool force,
                          bool dry_run) {
  return with_context(fmt::format("while pulling dataset '{}'", dataset.name), [&] {
    PullResult result;
    const config::LockFile lock = config::load_lock_file(project_);
    const auto it = lock.datasets.find(dataset.name);
    if (it != lock.datasets.end()) {
      result.version = it->second.digest;
    } else {
      const auto latest =
          remote == nullptr ? std::nullopt : latest_version(remote->storage(), dataset.name);
      if (!latest) {
        if (remote == nullptr) throw not_added(dataset);
        throw Error(ErrorKind::not_found, fmt::format("dataset '{}' is not at '{}'", dataset.name,
                                                      remote->storage().location()))
            .with_hint("push it from where it was added: mlp data push " + dataset.name);
      }
      result.version = *latest;
      result.pinned = true;
    }
    if (remote != nullptr) {
      if (!dry_run) store_.prepare(stop_);
      result.fetched = fetch_from(*remote, result.version, dry_run);
      if (cache_ && !dry_run) cache_->keep(store_, stop_);
    }
    const bool here = store_.has(result.version);
    Entry version;
    if (here)
      version = read_manifest(store_, result.version);
    else
      version = read_manifest(*remote, result.version); // dry run of what is not fetched
    result.totals = version_totals(version);
    if (here || !dry_run) result.checkout = place(dataset, version, force, dry_run);
    if (dry_run) return result;
    record(dataset, result.version, result.totals);
    if (remote != nullptr) take_tags(dataset, *remote);
    if (result.pinned) pin(dataset, {result.version, result.totals.files, result.totals.bytes});
    return result;
  });
}

FetchResult Datasets::fetch(const DatasetName& dataset, const Digest& version, RemoteStore& remote,
                            bool dry_run) {
  return with_context(fmt::format("while fetching dataset '{}'", dataset.name), [&] {
    if (!dry_run) store_.prepare(stop_);
    FetchResult result{.version = version};
    result.fetched = fetch_from(remote, version, dry_run);
    if (cache_ && !dry_run) cache_->keep(store_, stop_);
    LocalFirst source(store_, &remote);
    result.totals = version_totals(read_manifest(source, version));
    if (!dry_run) {
      record(dataset, version, result.totals);
      take_tags(dataset, remote);
    }
    return result;
  });
}

Digest Datasets::select(const Digest& version, const std::vector<IgnorePattern>& only,
                        RemoteStore* remote) {
  store_.prepare(stop_);
  LocalFirst source(store_, remote);
  const Digest part = select_files(source, read_manifest(source, version), only, store_);
  store_.flush();
  if (remote != nullptr) (void)fetch_from(*remote, part, false);
  return part;
}

CheckoutStats Datasets::checkout(const DatasetName& dataset, const Digest& version, bool force,
                                 bool dry_run) {
  return with_context(fmt::format("while checking out dataset '{}'", dataset.name), [&] {
    if (!dry_run) store_.prepare(stop_); // until the version is pinned
    const Entry root = read_manifest(store_, version);
    const Totals totals = version_totals(root);
    const CheckoutStats stats = place(dataset, root, force, dry_run);
    if (!dry_run) {
      record(dataset, version, totals);
      pin(dataset, {version, totals.files, totals.bytes});
    }
    return stats;
  });
}

CheckoutStats Datasets::export_to(const Digest& version, const fs::path& folder) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(folder, error)) && !fs::is_empty(folder, error))
    throw Error(ErrorKind::conflict, fmt::format("'{}' is there already", folder.native()))
        .with_hint("name a folder that does not exist, or is empty");
  make_directories(project_.tmp());
  const TemporaryDirectory scratch("export-", project_.tmp()); // its cache is of no use later
  return data::checkout(folder, read_manifest(store_, version), store_,
                        checkout_options(scratch.path() / "stat", false, false));
}

Digest Datasets::resolve(const DatasetName& dataset, std::string_view text,
                         RemoteStore* remote) const {
  if (text.empty()) return pinned(dataset).digest;
  return resolve_version(text, known(dataset), remote == nullptr ? nullptr : &remote->storage(),
                         dataset.name);
}

void Datasets::record(const DatasetName& dataset, const Digest& version,
                      const Totals& totals) const {
  known(dataset).record({version, totals.files, totals.bytes, wall_now()});
}

void Datasets::pin(const DatasetName& dataset, const config::DatasetLock& version) const {
  config::update_lock(project_, [&](config::LockFile& held) {
    held.datasets.insert_or_assign(dataset.name, version);
  });
}

// A tag that names another version here stays as it is.
void Datasets::take_tags(const DatasetName& dataset, RemoteStore& remote) const {
  LocalVersions here = known(dataset);
  const Tags mine = here.tags();
  for (const auto& [tag, version] : remote_tags(remote.storage(), dataset.name))
    if (!mine.contains(tag)) here.set_tag(tag, version);
}

} // namespace mlp::data
