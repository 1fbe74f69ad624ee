// `data add` for the datasets of a task.
#include "cli/pinning.hpp"

#include "core/base/error.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/data/dataset.hpp"

#include <fmt/format.h>

namespace mlp {

std::vector<track::DatasetUse>
pinned_datasets(Session& session, const std::vector<std::string>& names, bool dry_run) {
  std::vector<track::DatasetUse> out;
  if (names.empty()) return out;
  const config::Project& project = session.project();
  Progress& progress = session.output().progress();
  if (!dry_run) config::make_state_folders(project);
  data::Datasets datasets(project, progress, {});
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
