// `mlp data checkout`: use another version: its files in place, and pinned in mlp.lock.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const bool dry_run = session.arguments().has("--dry-run");
  const VersionName name = named_version(session, *session.arguments().get("NAME"));
  const auto datasets = open_datasets(session);
  VersionSource version(session, *datasets, name);
  if (!datasets->store().has(version.digest()))
    throw Error(ErrorKind::not_found,
                fmt::format("version {} of dataset '{}' is not in the local store",
                            version.digest().short_hex(), name.dataset.name))
        .with_hint(
            fmt::format("mlp data fetch {}@{}", name.dataset.name, version.digest().short_hex()));
  const data::CheckoutStats stats = datasets->checkout(name.dataset, version.digest(),
                                                       session.arguments().has("--force"), dry_run);
  session.output().emit(
      json_object({{"name", name.dataset.name},
                   {"digest", version.digest().text()},
                   {"written_files", stats.written_files},
                   {"written_bytes", stats.written_bytes},
                   {"removed_files", stats.removed_files},
                   {"kept_files", stats.kept_files},
                   {"untracked_files", stats.untracked_files},
                   {"dry_run", dry_run}}),
      TextView{fmt::format("{}: {}: {} {}, {} {}\n", name.dataset.name,
                           version.digest().short_hex(), dry_run ? "would write" : "wrote",
                           size_text(stats.written_files, stats.written_bytes),
                           dry_run ? "remove" : "removed", stats.removed_files)});
}

} // namespace

extern const Command data_checkout_command;
const Command data_checkout_command = {
    .path = "data checkout",
    .summary = "use another version: put its files in place and pin it",
    .category = Category::data,
    .arguments = {version_argument()},
    .options = {{.name = "--force", .help = "overwrite files that have local changes"},
                remote_option(),
                dry_run_option()},
    .settings = {"data.jobs", "data.compression_level", "data.link"},
    .examples = {{"mlp data checkout digits@v1", "back to the tag v1"},
                 {"mlp data checkout digits", "restore what mlp.lock pins"}},
    .run = run};

} // namespace mlp
