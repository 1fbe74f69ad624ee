// `mlp data ls`: the datasets of the project, or the files of one version.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/lock_file.hpp"
#include "core/config/project_file.hpp"
#include "core/data/manifest_reader.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

std::string_view type_name(data::EntryType type) {
  switch (type) {
  case data::EntryType::file:
    return "file";
  case data::EntryType::executable:
    return "executable";
  case data::EntryType::symlink:
    return "symlink";
  case data::EntryType::directory:
    return "directory";
  }
  return "file";
}

void list_datasets(Session& session) {
  const config::LockFile lock = config::load_lock_file(session.project());
  const auto datasets = open_datasets(session);
  Json rows = json_array();
  for (const auto& entry : session.project_file().datasets) {
    Json row = json_object({{"name", entry.name}, {"path", entry.value.path}});
    if (const auto it = lock.datasets.find(entry.name); it != lock.datasets.end()) {
      row["digest"] = it->second.digest.text();
      row["files"] = it->second.files;
      row["bytes"] = it->second.bytes;
      row["stored"] = datasets->store().has(it->second.digest);
    }
    rows.push_back(std::move(row));
  }
  session.output().emit(json_object({{"datasets", std::move(rows)}}),
                        TableView{.rows = "datasets",
                                  .columns = {{"name", "NAME"},
                                              {"digest", "VERSION", Format::digest},
                                              {"files", "FILES", Format::count},
                                              {"bytes", "SIZE", Format::bytes},
                                              {"path", "PATH"}},
                                  .empty = "no datasets; add one with: mlp data add NAME PATH"});
}

// One line a file, as a stream: a version may have millions.
void list_files(Session& session, const VersionName& name, const std::string& path) {
  const auto datasets = open_datasets(session);
  VersionSource version(session, *datasets, name);
  const auto start = data::find_entry(version.objects(), version.root(), path);
  if (!start)
    throw Error(ErrorKind::not_found,
                fmt::format("'{}' is not in version {} of dataset '{}'", printable(path),
                            version.digest().short_hex(), name.dataset.name));
  const std::string alone =
      path.empty() ? fs::path(name.dataset.path).filename().native() : path; // a file by itself
  data::for_each_entry(
      version.objects(), *start, [&](const std::string& below, const data::Entry& entry) {
        const bool folder = entry.type == data::EntryType::directory;
        const std::string full = below.empty()  ? path
                                 : path.empty() ? below
                                                : fmt::format("{}/{}", path, below);
        Json record = json_object({{"path", full}, {"type", type_name(entry.type)}});
        std::string line = printable(full.empty() ? alone : full);
        if (entry.is_file()) {
          record["bytes"] = entry.content.size;
        } else if (folder) {
          line += '/';
        } else {
          record["target"] = entry.target;
          line += " -> " + printable(entry.target);
        }
        const std::string size = entry.is_file() ? format_bytes(entry.content.size) : "-";
        session.output().emit_line(std::move(record), fmt::format("{:>10}  {}\n", size, line));
        return true;
      });
}

void run(Session& session) {
  std::string path = session.arguments().get("PATH").value_or("");
  while (path.ends_with('/'))
    path.pop_back();
  if (const auto name = session.arguments().get("NAME"))
    list_files(session, named_version(session, *name), path);
  else
    list_datasets(session);
}

} // namespace

extern const Command data_ls_command;
const Command data_ls_command = {
    .path = "data ls",
    .summary = "list the datasets, or the files of one",
    .category = Category::data,
    .arguments = {{.name = "NAME",
                   .help = "whose files to list; NAME@VERSION: those of another version",
                   .required = false,
                   .complete = complete_versions},
                  {.name = "PATH", .help = "only what is below this path", .required = false}},
    .options = {remote_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data ls", "the datasets and their versions"},
                 {"mlp data ls digits", "the files of the version in use"},
                 {"mlp data ls digits@v1 train", "a folder of another version"}},
    .run = run};

} // namespace mlp
