// `mlp data status`: which files differ from the pinned versions.
#include "cli/data.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

constexpr std::size_t shown_changes = 50;

void run(Session& session) {
  const auto datasets = open_datasets(session);
  Json rows = json_array();
  std::string text;
  for (const auto& dataset : chosen_datasets(session)) {
    const data::StatusResult status = datasets->status(dataset);
    const std::string state = dataset_state(status);
    const std::string remedy = dataset_remedy(state, dataset.name);
    Json row = json_object({{"name", dataset.name},
                            {"path", dataset.path},
                            {"state", state},
                            {"added", status.added},
                            {"removed", status.removed},
                            {"modified", status.modified},
                            {"changes", json_array()}});
    if (status.pinned) row["digest"] = status.pinned->digest.text();
    text += fmt::format("{}: {}", dataset.name, state);
    if (state == "changed")
      text += fmt::format(": {} added, {} removed, {} modified", format_count(status.added),
                          format_count(status.removed), format_count(status.modified));
    text += remedy.empty() ? "\n" : fmt::format(" ({})\n", remedy);
    std::size_t shown = 0;
    for (const auto& change : status.changes) {
      row["changes"].push_back(json_object({{"kind", data::change_word(change.kind)},
                                            {"path", change.path},
                                            {"old_bytes", change.old_size},
                                            {"new_bytes", change.new_size}}));
      if (shown++ < shown_changes)
        text += fmt::format("  {:<8}  {}\n", data::change_word(change.kind),
                            printable(change.path.empty() ? dataset.path : change.path));
    }
    const std::uint64_t all = status.added + status.removed + status.modified;
    if (all > shown_changes)
      text += fmt::format("  and {} more\n", format_count(all - shown_changes));
    rows.push_back(std::move(row));
  }
  session.output().emit(json_object({{"datasets", std::move(rows)}}), TextView{text});
}

} // namespace

extern const Command data_status_command;
const Command data_status_command = {
    .path = "data status",
    .summary = "show which files differ from the pinned versions",
    .category = Category::data,
    .arguments = {dataset_argument(false)},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data status", "all datasets"},
                 {"mlp data status digits --json", "one of them, for a script"}},
    .run = run};

} // namespace mlp
