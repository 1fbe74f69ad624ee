// `mlp data log`: the versions of a dataset that are known, newest first.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/config/lock_file.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

namespace mlp {

namespace {

void run(Session& session) {
  const std::string name = *session.arguments().get("NAME");
  const data::DatasetName dataset{name, session.project_file().dataset(name).path};
  const auto datasets = open_datasets(session);
  const data::LocalVersions known = datasets->known(dataset);
  std::vector<data::Version> versions = known.versions();
  data::Tags tags = known.tags();
  std::unordered_set<Digest> at_remote;
  const OpenRemote remote = remote_if(session, false);
  if (remote.storage) {
    for (const data::Version& version : data::remote_versions(*remote.storage, name)) {
      at_remote.insert(version.digest);
      const auto same = std::ranges::find(versions, version.digest, &data::Version::digest);
      if (same == versions.end()) versions.push_back(version);
    }
    tags.merge(data::remote_tags(*remote.storage, name));
  }
  const config::LockFile lock = config::load_lock_file(session.project());
  const auto pin = lock.datasets.find(name);
  if (pin != lock.datasets.end() &&
      std::ranges::find(versions, pin->second.digest, &data::Version::digest) == versions.end())
    versions.push_back({pin->second.digest, pin->second.files, pin->second.bytes, {}});
  std::ranges::stable_sort(versions, std::ranges::greater{}, &data::Version::time);

  Json rows = json_array();
  std::string text;
  for (const data::Version& version : versions) {
    std::vector<std::string> names;
    for (const auto& [tag, digest] : tags)
      if (digest == version.digest) names.push_back(tag);
    const bool in_use = pin != lock.datasets.end() && pin->second.digest == version.digest;
    const bool stored = datasets->store().has(version.digest);
    const bool dated = version.time != WallTime{};
    Json row = json_object({{"digest", version.digest.text()},
                            {"files", version.files},
                            {"bytes", version.bytes},
                            {"tags", names},
                            {"in_use", in_use},
                            {"stored", stored}});
    if (dated) row["time"] = format_time(version.time);
    if (remote.storage) row["at_remote"] = at_remote.contains(version.digest);
    rows.push_back(std::move(row));
    text += fmt::format("{} {}  {:<12}  {}", in_use ? "*" : " ", version.digest.short_hex(),
                        dated ? format_age(version.time, wall_now()) : "-",
                        size_text(version.files, version.bytes));
    if (!names.empty()) text += fmt::format("  [{}]", join(names, ", "));
    if (!stored) text += "  (not here)";
    text += '\n';
  }
  if (versions.empty()) text = fmt::format("no version of dataset '{}' is known\n", name);
  session.output().emit(json_object({{"name", name}, {"versions", std::move(rows)}}),
                        TextView{text});
}

} // namespace

extern const Command data_log_command;
const Command data_log_command = {
    .path = "data log",
    .summary = "list the versions of a dataset and their tags",
    .category = Category::data,
    .arguments = {dataset_argument(true)},
    .options = {remote_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data log digits", "the versions that were added or pulled here"},
                 {"mlp data log digits --remote origin", "those of a remote too"}},
    .run = run};

} // namespace mlp
