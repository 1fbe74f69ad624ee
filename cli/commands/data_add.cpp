// `mlp data add`: store datasets and pin their versions.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/edit.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

// Of what was read, how much the store grew.
double ratio(const data::AddResult& result) {
  const auto read = static_cast<double>(std::max<std::uint64_t>(result.scanned.read_bytes, 1));
  return static_cast<double>(result.stored.stored_bytes) / read;
}

Json result_json(const std::string& name, const data::AddResult& result) {
  return json_object({{"name", name},
                      {"digest", result.version.text()},
                      {"files", result.totals.files},
                      {"bytes", result.totals.bytes},
                      {"changed", result.changed},
                      {"read_files", result.scanned.read_files},
                      {"read_bytes", result.scanned.read_bytes},
                      {"new_objects", result.stored.new_objects},
                      {"new_bytes", result.stored.new_bytes},
                      {"stored_bytes", result.stored.stored_bytes},
                      {"deduplicated_bytes", result.stored.known_bytes},
                      {"ratio", ratio(result)}});
}

std::string result_text(const std::string& name, const data::AddResult& result, bool dry_run) {
  std::string line =
      fmt::format("{}: {} in {}", name, size_text(result.totals.files, result.totals.bytes),
                  result.version.short_hex());
  if (!result.changed) return line + ", unchanged\n";
  if (dry_run)
    return line + fmt::format(", would read {}\n",
                              size_text(result.scanned.read_files, result.scanned.read_bytes));
  return line + fmt::format(", read {}, {} new as {}, {} deduplicated, ratio {:.2f}\n",
                            size_text(result.scanned.read_files, result.scanned.read_bytes),
                            format_bytes(result.stored.new_bytes),
                            format_bytes(result.stored.stored_bytes),
                            format_bytes(result.stored.known_bytes), ratio(result));
}

void run(Session& session) {
  const bool dry_run = session.arguments().has("--dry-run");
  const auto name = session.arguments().get("NAME");
  const auto given_path = session.arguments().get("PATH");
  const auto datasets = open_datasets(session);
  std::vector<data::DatasetName> chosen;
  if (given_path) {
    std::error_code ignored;
    if (!fs::exists(*given_path, ignored))
      throw Error(ErrorKind::not_found, fmt::format("no file or folder '{}'", *given_path));
    const std::string path = project_path(session, *given_path);
    const auto* known = session.project_file().datasets.find(*name);
    if (known != nullptr && known->path != path)
      throw Error(ErrorKind::conflict,
                  fmt::format("dataset '{}' has the path '{}' in mlp.yaml", *name, known->path))
          .with_hint("choose another name, or change the path in mlp.yaml");
    chosen.push_back({*name, path});
    static_cast<void>(datasets->path_of(chosen.front()));
    if (!dry_run) config::add_dataset(session.project(), *name, path);
  } else {
    chosen = chosen_datasets(session);
  }
  Json results = json_array();
  std::string text;
  for (const auto& dataset : chosen) {
    const data::AddResult result = datasets->add(dataset, dry_run);
    results.push_back(result_json(dataset.name, result));
    text += result_text(dataset.name, result, dry_run);
  }
  session.output().emit(json_object({{"datasets", results}, {"dry_run", dry_run}}), TextView{text});
}

} // namespace

extern const Command data_add_command;
const Command data_add_command = {
    .path = "data add",
    .summary = "store datasets and pin their versions in mlp.lock",
    .category = Category::data,
    .arguments = {{.name = "NAME",
                   .help = "the dataset; without it, all of mlp.yaml",
                   .required = false,
                   .complete = complete_datasets},
                  {.name = "PATH",
                   .help = "its file or folder, for a dataset that is not in mlp.yaml yet",
                   .required = false,
                   .complete = complete_files}},
    .options = {dry_run_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data add digits data/digits.csv", "declare a dataset and store it"},
                 {"mlp data add", "store what changed in all datasets"}},
    .run = run};

} // namespace mlp
