// `mlp data pull`: fetch the pinned versions and put their files in place.
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const bool dry_run = session.arguments().has("--dry-run");
  const bool force = session.arguments().has("--force");
  const bool local = session.arguments().has("--local");
  const auto chosen = chosen_datasets(session);
  const auto datasets = open_datasets(session);
  OpenRemote remote;
  // Without any remote a pull is still a checkout of what is in the local store.
  if (!local && (session.arguments().has("--remote") || !session.project_file().remotes.empty()))
    remote = open_remote(session, chosen_remote(session));
  Json rows = json_array();
  std::string text;
  for (const auto& dataset : chosen) {
    const data::PullResult result = datasets->pull(dataset, remote.store.get(), force, dry_run);
    rows.push_back(json_object({{"name", dataset.name},
                                {"digest", result.version.text()},
                                {"files", result.totals.files},
                                {"bytes", result.totals.bytes},
                                {"pinned", result.pinned},
                                {"fetched_objects", result.fetched.objects},
                                {"fetched_bytes", result.fetched.bytes},
                                {"cached_objects", result.fetched.cached_objects},
                                {"cached_bytes", result.fetched.cached_bytes},
                                {"written_files", result.checkout.written_files},
                                {"written_bytes", result.checkout.written_bytes},
                                {"removed_files", result.checkout.removed_files},
                                {"kept_files", result.checkout.kept_files},
                                {"untracked_files", result.checkout.untracked_files}}));
    text += fmt::format("{}: {} in {}: {} {}, {} {}, {} {}\n", dataset.name,
                        size_text(result.totals.files, result.totals.bytes),
                        result.version.short_hex(), dry_run ? "would fetch" : "fetched",
                        fetched_text(result.fetched), dry_run ? "write" : "wrote",
                        size_text(result.checkout.written_files, result.checkout.written_bytes),
                        dry_run ? "remove" : "removed", result.checkout.removed_files);
    if (result.checkout.untracked_files > 0)
      session.output().status(fmt::format("{}: {} files of no version were left alone",
                                          dataset.name,
                                          format_count(result.checkout.untracked_files)));
  }
  session.output().emit(
      json_object({{"remote", remote.name}, {"datasets", std::move(rows)}, {"dry_run", dry_run}}),
      TextView{text});
}

} // namespace

extern const Command data_pull_command;
const Command data_pull_command = {
    .path = "data pull",
    .summary = "fetch datasets and put their files in place",
    .category = Category::data,
    .arguments = {dataset_argument(false)},
    .options = {remote_option(),
                {.name = "--force", .help = "overwrite files that have local changes"},
                {.name = "--local", .help = "use what is in the local store, and no remote"},
                dry_run_option()},
    .settings = {"data.jobs", "data.compression_level", "data.link"},
    .examples = {{"mlp data pull", "bring all datasets to the versions of mlp.lock"},
                 {"mlp data pull digits --force", "throw local changes of one dataset away"}},
    .run = run};

} // namespace mlp
