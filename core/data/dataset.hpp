// The operations on a project's datasets, by name: what the `mlp data` commands do. A dataset is
// declared in mlp.yaml (name and path) and its version in use is pinned in mlp.lock.
#pragma once

#include "core/base/progress.hpp"
#include "core/config/lock_file.hpp"
#include "core/config/project.hpp"
#include "core/data/checkout.hpp"
#include "core/data/compare.hpp"
#include "core/data/ignore.hpp"
#include "core/data/remote_store.hpp"
#include "core/data/scan.hpp"
#include "core/data/store.hpp"
#include "core/data/transfer.hpp"
#include "core/data/user_cache.hpp"
#include "core/data/versions.hpp"

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::data {

struct DatasetName {
  std::string name;
  std::string path; // as mlp.yaml has it
};

struct AddResult {
  Digest version;
  Totals totals;
  bool changed = false; // the pin in mlp.lock is another than before
  ScanStats scanned;
  StoreStats stored;
};

struct StatusResult {
  std::optional<config::DatasetLock> pinned; // absent: never added
  bool missing = false;                      // there is nothing at its path
  bool fetched = true;                       // false: the version's nodes are not in the store
  std::vector<Change> changes;               // the first 10,000
  std::uint64_t added = 0, removed = 0, modified = 0;
  [[nodiscard]] bool clean() const {
    return pinned && !missing && fetched && added + removed + modified == 0;
  }
};

struct PushResult {
  Digest version;
  Totals totals;
  TransferStats sent;
};

struct FetchResult {
  Digest version;
  Totals totals;
  TransferStats fetched;
};

struct PullResult {
  Digest version;
  Totals totals;
  bool pinned = false; // was not in mlp.lock before: the remote's latest was taken
  TransferStats fetched;
  CheckoutStats checkout;
};

// Not thread-safe; several processes may work on one project. All methods block and throw Error.
class Datasets {
 public:
  // Opens the store. All references outlive it.
  Datasets(const config::Project& project, Progress& progress, std::stop_token stop,
           unsigned jobs = 0, int compression_level = 1);

  // From now on fetches ask the user's cache, unless it is null, before a remote; what is fetched
  // or sent is kept there; and checkouts link from it. `relink`: files that are right already too.
  void use_cache(std::unique_ptr<UserCache> cache, LinkMode link, bool relink);

  // Stores what changed and pins the version. Incremental; an interrupted one is taken up by the
  // next. With `dry_run` only hashes and counts.
  AddResult add(const DatasetName& dataset, bool dry_run);
  [[nodiscard]] StatusResult status(const DatasetName& dataset);
  // Sends the pinned version, then publishes it. Throws not_found if it was never added.
  PushResult push(const DatasetName& dataset, RemoteStore& remote, bool dry_run, bool check);
  // Fetches the pinned version, or the remote's latest where none is pinned, and checks it out.
  // With no `remote` everything must be in the local store.
  PullResult pull(const DatasetName& dataset, RemoteStore* remote, bool force, bool dry_run);

  // Brings what a version needs, and the tags that the remote has for it, into the local store.
  FetchResult fetch(const DatasetName& dataset, const Digest& version, RemoteStore& remote,
                    bool dry_run);
  // A version of the files alone that match one of the patterns; see select_files(). What the local
  // store lacks of them comes from the remote, which may be null. Pins and records nothing.
  [[nodiscard]] Digest select(const Digest& version, const std::vector<IgnorePattern>& only,
                              RemoteStore* remote);
  // Makes the dataset's files that version, which the local store must have, and pins it.
  CheckoutStats checkout(const DatasetName& dataset, const Digest& version, bool force,
                         bool dry_run);
  // Writes the version's files to `folder`, which must not exist or be empty.
  CheckoutStats export_to(const Digest& version, const fs::path& folder);

  // The versions and tags that are known here.
  [[nodiscard]] LocalVersions known(const DatasetName& dataset) const {
    return {project_, dataset.name};
  }
  // The version that `text` means, see resolve_version(); the pinned one if it is empty.
  [[nodiscard]] Digest resolve(const DatasetName& dataset, std::string_view text,
                               RemoteStore* remote) const;

  // The pinned version; throws Error(not_found), with the hint to add it, if there is none.
  [[nodiscard]] config::DatasetLock pinned(const DatasetName& dataset) const;
  // Where its files are. Throws Error(config) if the path would take in the project's own files.
  [[nodiscard]] fs::path path_of(const DatasetName& dataset) const;

  [[nodiscard]] ObjectStore& store() { return store_; }

 private:
  // What an add will read, for its progress: of a folder that is new 0, which is unknown.
  [[nodiscard]] std::uint64_t likely_bytes(const DatasetName& dataset, const fs::path& root) const;
  [[nodiscard]] fs::path cache_of(const DatasetName& dataset) const;
  [[nodiscard]] TransferOptions transfer_options(bool dry_run);
  TransferStats fetch_from(RemoteStore& remote, const Digest& version, bool dry_run);
  // Into the dataset's place, with links.
  CheckoutStats place(const DatasetName& dataset, const Entry& version, bool force, bool dry_run);
  [[nodiscard]] CheckoutOptions checkout_options(fs::path cache, bool force, bool dry_run) const;
  void record(const DatasetName& dataset, const Digest& version, const Totals& totals) const;
  void pin(const DatasetName& dataset, const config::DatasetLock& version) const;
  void take_tags(const DatasetName& dataset, RemoteStore& remote) const;

  const config::Project& project_;
  Progress& progress_;
  std::stop_token stop_;
  unsigned jobs_;
  ObjectStore store_;
  std::unique_ptr<UserCache> cache_; // may be null
  LinkMode link_ = LinkMode::copy;
  bool relink_ = false;
};

} // namespace mlp::data
