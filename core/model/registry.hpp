// The models of a project: files in its object store, and below .mlp/refs/models/<name>/
//   <version>.json     metadata of one version; created once, never changed
//   aliases/<alias>    the number of the version that the alias stands for
// A version is complete before its metadata appears, and appears whole.
//
// Not thread-safe; several processes may use one project's registry at a time: version numbers are
// given once, whoever comes first.
#pragma once

#include "core/base/fs.hpp"
#include "core/base/progress.hpp"
#include "core/config/project.hpp"
#include "core/model/reference.hpp"
#include "core/model/version.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::model {

class ModelRegistry {
 public:
  explicit ModelRegistry(config::Project project) : project_(std::move(project)) {}

  // Names in order; empty if nothing was ever registered.
  [[nodiscard]] std::vector<std::string> names() const;
  // All versions of a model, newest first. Throws Error(not_found) with the nearest name.
  [[nodiscard]] std::vector<ModelVersion> versions(std::string_view name) const;
  // alias -> version, without the computed "latest".
  [[nodiscard]] std::map<std::string, std::int64_t> aliases(std::string_view name) const;

  // The version that a reference means. Throws Error(not_found) that tells what there is.
  [[nodiscard]] ModelVersion find(const ModelReference& reference) const;

  // Stores a file or folder and registers it as the next version of `about.name`; digest, size,
  // version and time of `about` are filled in. Durable when it returns. If the latest version has
  // the same files and the same run, that one is returned instead (a repeated registration is no
  // new version). Throws Error: not_found, usage (a bad name; a folder without files, or with a
  // symbolic link), denied, failed.
  ModelVersion add(const fs::path& files, ModelVersion about);

  // Points an alias at a version, atomically. Throws Error(usage) for a bad alias or for "latest",
  // not_found for a version that is not there.
  void set_alias(std::string_view name, std::string_view alias, std::int64_t version);
  // False if there was none.
  bool remove_alias(std::string_view name, std::string_view alias);

  // Writes the files of a version to the folder `target`, each checked against its digest. The
  // folder may exist; files in it that differ are a conflict unless `force`. Throws Error.
  void export_files(const ModelVersion& version, const fs::path& target, bool force,
                    Progress& progress = no_progress()) const;

  // A folder with the files of a version, for reading only: kept in the project's cache, made
  // when first asked for. Throws Error.
  [[nodiscard]] fs::path materialize(const ModelVersion& version) const;

  // Versions that come from this run, as NAME@VERSION.
  [[nodiscard]] std::vector<std::string> registered_from(std::string_view run) const;

 private:
  [[nodiscard]] fs::path root() const { return project_.refs() / "models"; }
  [[nodiscard]] fs::path folder(std::string_view name) const { return root() / name; }
  [[nodiscard]] std::vector<std::int64_t> version_numbers(std::string_view name) const;
  [[nodiscard]] ModelVersion read(std::string_view name, std::int64_t version) const;
  void require(std::string_view name) const;

  config::Project project_;
};

} // namespace mlp::model
