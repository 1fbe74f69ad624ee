// `mlp data export`: a copy of a version in a folder of its own.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/data/transfer.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const VersionName name = named_version(session, *session.arguments().get("NAME"));
  const fs::path folder = *session.arguments().get("FOLDER");
  const auto datasets = open_datasets(session);
  VersionSource version(session, *datasets, name);
  const std::vector<std::string> only = session.arguments().all("--only");
  Digest wanted = version.digest();
  const bool whole = data::has_all_objects(datasets->store(), wanted, session.stop_token());
  const OpenRemote remote = whole ? OpenRemote{} : remote_if(session, true);
  if (!only.empty()) {
    std::string patterns;
    for (const std::string& pattern : only)
      patterns += pattern + "\n";
    wanted = datasets->select(wanted, data::parse_ignore(patterns), remote.store.get());
  } else if (remote.store) {
    static_cast<void>(datasets->fetch(name.dataset, wanted, *remote.store, false));
  }
  const data::CheckoutStats stats = datasets->export_to(wanted, fs::absolute(folder));
  session.output().emit(
      json_object({{"name", name.dataset.name},
                   {"digest", version.digest().text()},
                   {"folder", folder.native()},
                   {"files", stats.written_files},
                   {"bytes", stats.written_bytes}}),
      TextView{fmt::format("{}: {} of {} in '{}'\n", name.dataset.name,
                           size_text(stats.written_files, stats.written_bytes),
                           version.digest().short_hex(), printable(folder.native()))});
}

} // namespace

extern const Command data_export_command;
const Command data_export_command = {
    .path = "data export",
    .summary = "copy a version, or a part of it, to a folder of its own",
    .category = Category::data,
    .arguments = {version_argument(),
                  {.name = "FOLDER",
                   .help = "where to; must not exist, or be empty",
                   .complete = complete_directories}},
    .options = {{.name = "--only",
                 .value = "PATTERN",
                 .help = "files and folders that match, in the words of .mlpignore; all others are "
                         "left out, and not fetched",
                 .repeated = true},
                remote_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data export digits@v1 /tmp/digits-v1", "an earlier version beside"},
                 {"mlp data export digits@v1 few --only 'train/0*' --only labels.csv",
                  "of a large version what is needed"}},
    .run = run};

} // namespace mlp
