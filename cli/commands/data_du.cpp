// `mlp data du`: the room that datasets take, as files and in the store.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/data/usage.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::vector<VersionName> chosen = chosen_versions(session);
  const auto datasets = open_datasets(session);
  data::UsageCounter counter(datasets->store());
  Json rows = json_array();
  std::uint64_t bytes = 0;
  std::uint64_t stored = 0;
  for (const VersionName& name : chosen) {
    const Digest version = datasets->resolve(name.dataset, name.version, nullptr);
    const data::Usage usage = counter.count(version, session.stop_token());
    bytes += usage.bytes;
    stored += usage.new_stored;
    rows.push_back(json_object({{"name", name.dataset.name},
                                {"digest", version.text()},
                                {"files", usage.files},
                                {"bytes", usage.bytes},
                                {"objects", usage.objects},
                                {"distinct_bytes", usage.distinct},
                                {"stored_bytes", usage.stored},
                                {"shared_bytes", usage.stored - usage.new_stored}}));
  }
  std::uint64_t packs = 0;
  for (const auto& [pack, kind] : datasets->store().packs()) {
    std::error_code gone;
    const std::uintmax_t size = fs::file_size(datasets->store().pack_path(pack), gone);
    if (!gone) packs += size;
  }
  session.output().emit(json_object({{"datasets", std::move(rows)},
                                     {"bytes", bytes},
                                     {"stored_bytes", stored},
                                     {"store_bytes", packs}}),
                        TableView{.rows = "datasets",
                                  .columns = {{"name", "NAME"},
                                              {"digest", "VERSION", Format::digest},
                                              {"files", "FILES", Format::count},
                                              {"bytes", "SIZE", Format::bytes},
                                              {"distinct_bytes", "DISTINCT", Format::bytes},
                                              {"stored_bytes", "STORED", Format::bytes},
                                              {"shared_bytes", "SHARED", Format::bytes}},
                                  .empty = "no datasets"});
}

} // namespace

extern const Command data_du_command;
const Command data_du_command = {
    .path = "data du",
    .summary = "show the room that datasets take, as files and in the store",
    .category = Category::data,
    .arguments = {{.name = "NAME",
                   .help = "datasets, or NAME@VERSION; all datasets if none is named",
                   .required = false,
                   .repeated = true,
                   .complete = complete_versions}},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data du", "the versions in use"},
                 {"mlp data du digits@v1 digits@v2", "what a second version adds to a first"}},
    .run = run};

} // namespace mlp
