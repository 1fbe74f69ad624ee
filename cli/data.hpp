// What the `mlp data` and `mlp remote` commands share: the project's datasets by name, the remote
// that is meant, and the words for bytes and files.
#pragma once

#include "cli/session.hpp"
#include "core/base/json_fwd.hpp"
#include "core/data/dataset.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

// The datasets that the argument NAME lists, or all of mlp.yaml in its order. Throws
// Error(not_found), with the nearest name, for one that is not declared; with a hint to declare one
// if there are none.
[[nodiscard]] std::vector<data::DatasetName> chosen_datasets(Session& session);

// One dataset, and which version of it: NAME or NAME@VERSION.
struct VersionName {
  data::DatasetName dataset;
  std::string version; // as given; empty: the pinned one
};
// Throws Error(not_found), with the nearest name, for a dataset that is not declared.
[[nodiscard]] VersionName named_version(Session& session, const std::string& text);
// Those that the argument NAME lists, or the pinned versions of all datasets.
[[nodiscard]] std::vector<VersionName> chosen_versions(Session& session);

// A path as mlp.yaml has it: relative to the project's root where it lies in it. `given` is
// relative to the current folder.
[[nodiscard]] std::string project_path(Session& session, const std::string& given);

// With the settings data.jobs and data.compression_level, which the command must name.
[[nodiscard]] std::unique_ptr<data::Datasets> open_datasets(Session& session);

// A remote of the project, opened: the option --remote, else the default one.
struct OpenRemote {
  std::string name;
  std::unique_ptr<data::Storage> storage;
  std::unique_ptr<data::RemoteStore> store; // uses `storage`
};
// The remote's name. Throws Error(not_found) for one that is not declared, or if none is.
[[nodiscard]] std::string chosen_remote(Session& session);
[[nodiscard]] OpenRemote open_remote(Session& session, const std::string& name);

// The remote, if the version or its objects are not all here: opened when --remote is given, else
// when `needed` and mlp.yaml has a remote. `store` may be null.
[[nodiscard]] OpenRemote remote_if(Session& session, bool needed);

// A version that was named, with what can read it: here, or else at a remote.
class VersionSource {
 public:
  // Resolves it; opens a remote only where it must. Throws Error(not_found) that says how to fetch.
  VersionSource(Session& session, data::Datasets& datasets, const VersionName& name);

  [[nodiscard]] const Digest& digest() const noexcept { return digest_; }
  [[nodiscard]] data::ObjectSource& objects() noexcept { return *objects_; }
  [[nodiscard]] data::Entry root(); // of its manifest

 private:
  OpenRemote remote_;
  Digest digest_;
  std::unique_ptr<data::LocalFirst> objects_;
};

// One word or two: "unchanged", "changed", "missing", "not added", "not fetched".
[[nodiscard]] std::string dataset_state(const data::StatusResult& status);
// The command that mends a state, e.g. "mlp data add digits"; empty if there is nothing to mend.
[[nodiscard]] std::string dataset_remedy(const std::string& state, const std::string& name);

// "3 files, 1.2 MiB"
[[nodiscard]] std::string size_text(std::uint64_t files, std::uint64_t bytes);

// "1.2 MiB", and what came from the user's cache, if anything did.
[[nodiscard]] std::string fetched_text(const data::TransferStats& fetched);

[[nodiscard]] Option remote_option();
[[nodiscard]] Argument dataset_argument(bool required);
// NAME or NAME@VERSION, completed with datasets, versions and tags.
[[nodiscard]] Argument version_argument();

} // namespace mlp
