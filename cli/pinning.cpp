// `data add` for the datasets of a task, or `data pull`.
#include "cli/pinning.hpp"

#include "cli/data.hpp"
#include "core/base/error.hpp"
#include "core/config/lock_file.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/data/dataset.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

// Where mlp.lock has a version and the work tree has nothing, as after a clone.
bool is_to_be_pulled(const data::Datasets& datasets, const config::LockFile& lock,
                     const data::DatasetName& dataset) {
  std::error_code ignored;
  return lock.datasets.contains(dataset.name) && !fs::exists(datasets.path_of(dataset), ignored);
}

void pull(Session& session, data::Datasets& datasets, const data::DatasetName& dataset) {
  const bool here = data::has_all_objects(datasets.store(), datasets.pinned(dataset).digest,
                                          session.stop_token());
  const OpenRemote remote = remote_if(session, !here);
  const data::PullResult pulled = datasets.pull(dataset, remote.store.get(), false, false);
  session.output().progress().end();
  session.output().status(fmt::format("pulled dataset '{}' at {}: {}", dataset.name,
                                      pulled.version.short_hex(),
                                      size_text(pulled.totals.files, pulled.totals.bytes)));
}

} // namespace

std::vector<track::DatasetUse>
pinned_datasets(Session& session, const std::vector<std::string>& names, bool dry_run) {
  std::vector<track::DatasetUse> out;
  if (names.empty()) return out;
  const config::Project& project = session.project();
  Progress& progress = session.output().progress();
  if (!dry_run) config::make_state_folders(project);
  const std::unique_ptr<data::Datasets> opened = open_datasets(session);
  data::Datasets& datasets = *opened;
  const config::LockFile lock = config::load_lock_file(project);
  for (const std::string& name : names) {
    const config::DatasetEntry& entry = session.project_file().dataset(name);
    const data::DatasetName dataset{name, entry.path};
    const auto add = [&] {
      try {
        return datasets.add(dataset, dry_run);
      } catch (Error& error) {
        error.add_context(fmt::format("while reading dataset '{}'", name));
        if (error.kind() == ErrorKind::not_found)
          error.add_hint(fmt::format("fetch it with: mlp data pull {}", name));
        throw;
      }
    };
    if (is_to_be_pulled(datasets, lock, dataset)) {
      const config::DatasetLock& pinned = lock.datasets.at(name);
      if (!dry_run) pull(session, datasets, dataset);
      out.push_back({name, entry.path, pinned.digest.text(), pinned.files, pinned.bytes});
      continue;
    }
    const data::AddResult added = add();
    progress.end();
    if (added.changed && !dry_run)
      session.output().status(
          fmt::format("added dataset '{}' as {} to mlp.lock: it was new or had changed", name,
                      added.version.short_hex()));
    out.push_back({name, entry.path, added.version.text(), added.totals.files, added.totals.bytes});
  }
  return out;
}

} // namespace mlp
