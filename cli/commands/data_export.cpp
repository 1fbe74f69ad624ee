// `mlp data export`: a copy of a version in a folder of its own.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const VersionName name = named_version(session, *session.arguments().get("NAME"));
  const fs::path folder = *session.arguments().get("FOLDER");
  const auto datasets = open_datasets(session);
  VersionSource version(session, *datasets, name);
  if (!datasets->store().has(version.digest())) {
    const OpenRemote remote = open_remote(session, chosen_remote(session));
    static_cast<void>(datasets->fetch(name.dataset, version.digest(), *remote.store, false));
  }
  const data::CheckoutStats stats = datasets->export_to(version.digest(), fs::absolute(folder));
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
    .summary = "copy a version to a folder of its own",
    .category = Category::data,
    .arguments = {version_argument(),
                  {.name = "FOLDER",
                   .help = "where to; must not exist, or be empty",
                   .complete = complete_directories}},
    .options = {remote_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data export digits@v1 /tmp/digits-v1", "an earlier version beside"}},
    .run = run};

} // namespace mlp
