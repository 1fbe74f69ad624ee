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
  Json rows = Json::array();
  for (const auto& entry : session.project_file().datasets) {
    Json row = {{"name", entry.name}, {"path", entry.value.path}};
    if (const auto it = lock.datasets.find(entry.name); it != lock.datasets.end()) {
      row["digest"] = it->second.digest.text();
      row["files"] = it->second.files;
      row["bytes"] = it->second.bytes;
      row["stored"] = datasets->store().has(it->second.digest);
    }
    rows.push_back(std::move(row));
  }
  session.output().emit({{"datasets", std::move(rows)}},
                        TableView{.rows = "datasets",
                                  .columns = {{"name", "NAME"},
                                              {"digest", "VERSION", Format::digest},
                                              {"files", "FILES", Format::count},
                                              {"bytes", "SIZE", Format::bytes},
                                              {"path", "PATH"}},
                                  .empty = "no datasets; add one with: mlp data add NAME PATH"});
}

// One line a file, as a stream: a version may have millions.
void list_files(Session& session, const std::string& name) {
  const data::DatasetName dataset{name, session.project_file().dataset(name).path};
  const auto datasets = open_datasets(session);
  const Digest version = datasets->pinned(dataset).digest;
  data::for_each_entry(
      datasets->store(), data::read_manifest(datasets->store(), version),
      [&](const std::string& path, const data::Entry& entry) {
        const bool folder = entry.type == data::EntryType::directory;
        Json record = {{"path", path}, {"type", type_name(entry.type)}};
        std::string line =
            printable(path.empty() ? fs::path(dataset.path).filename().native() : path);
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
  if (const auto name = session.arguments().get("NAME"))
    list_files(session, *name);
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
                   .help = "the dataset whose files to list",
                   .required = false,
                   .complete = complete_datasets}},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data ls", "the datasets and their versions"},
                 {"mlp data ls digits", "the files of the version in use"}},
    .run = run};

} // namespace mlp
