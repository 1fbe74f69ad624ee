// `mlp data fetch`: bring versions into the local store; files and mlp.lock stay as they are.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const bool dry_run = session.arguments().has("--dry-run");
  const std::vector<VersionName> chosen = chosen_versions(session);
  const auto datasets = open_datasets(session);
  const OpenRemote remote = open_remote(session, chosen_remote(session));
  Json rows = json_array();
  std::string text;
  for (const VersionName& name : chosen) {
    const Digest version = datasets->resolve(name.dataset, name.version, remote.store.get());
    const data::FetchResult result = datasets->fetch(name.dataset, version, *remote.store, dry_run);
    rows.push_back(json_object({{"name", name.dataset.name},
                                {"digest", version.text()},
                                {"files", result.totals.files},
                                {"bytes", result.totals.bytes},
                                {"fetched_objects", result.fetched.objects},
                                {"fetched_bytes", result.fetched.bytes},
                                {"cached_objects", result.fetched.cached_objects},
                                {"cached_bytes", result.fetched.cached_bytes}}));
    text += fmt::format("{}: {} in {}: {} {}\n", name.dataset.name,
                        size_text(result.totals.files, result.totals.bytes), version.short_hex(),
                        dry_run ? "would fetch" : "fetched", fetched_text(result.fetched));
  }
  session.output().emit(
      json_object({{"remote", remote.name}, {"datasets", std::move(rows)}, {"dry_run", dry_run}}),
      TextView{text});
}

} // namespace

extern const Command data_fetch_command;
const Command data_fetch_command = {
    .path = "data fetch",
    .summary = "bring versions into the local store, and no file",
    .category = Category::data,
    .arguments = {{.name = "NAME",
                   .help = "datasets, or NAME@VERSION; all datasets if none is named",
                   .required = false,
                   .repeated = true,
                   .complete = complete_versions}},
    .options = {remote_option(), dry_run_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data fetch", "what mlp.lock pins, for work without a network"},
                 {"mlp data fetch digits@latest", "the newest, without using it yet"}},
    .run = run};

} // namespace mlp
