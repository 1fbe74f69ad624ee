// `mlp status`: the project at a glance: data against their pins, runs, models.
#include "cli/data.hpp"
#include "cli/models.hpp"
#include "cli/runs.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

constexpr std::size_t shown_runs = 3;

// Adds the lines to `text` and returns the rows.
Json dataset_rows(Session& session, std::string& text) {
  Json rows = json_array();
  if (session.project_file().datasets.empty()) return rows;
  text += "\ndatasets\n";
  const auto datasets = open_datasets(session);
  for (const auto& dataset : chosen_datasets(session)) {
    const data::StatusResult status = datasets->status(dataset);
    const std::string state = dataset_state(status);
    const std::string remedy = dataset_remedy(state, dataset.name);
    Json row = json_object({{"name", dataset.name}, {"path", dataset.path}, {"state", state}});
    text += fmt::format("  {}  {}", dataset.name, state);
    if (status.pinned) {
      row["digest"] = status.pinned->digest.text();
      text += fmt::format("  {}  {}", status.pinned->digest.short_hex(),
                          size_text(status.pinned->files, status.pinned->bytes));
    }
    text += remedy.empty() ? "\n" : fmt::format("  ({})\n", remedy);
    rows.push_back(std::move(row));
  }
  return rows;
}

Json run_rows(Session& session, std::string& text) {
  track::RunIndex index(index_paths(session.project()));
  index.sync();
  Json rows = json_array();
  for (const track::RunRow& run : index.list({.states = {}, .task = {}, .limit = shown_runs})) {
    Json row = run_row_json(run);
    if (rows.empty()) text += "\nlatest runs\n";
    text += fmt::format("  {}  {}  {}  {}", run.id, printable(run.task),
                        row["state"].get<std::string>(), format_age(run.created, wall_now()));
    if (row.contains("headline"))
      text += fmt::format("  {}", printable(row["headline"].get<std::string>()));
    text += "\n";
    rows.push_back(std::move(row));
  }
  return rows;
}

Json model_rows(Session& session, std::string& text) {
  const model::ModelRegistry registry(session.project());
  Json rows = json_array();
  for (const std::string& name : registry.names()) {
    const auto latest = registry.find({.name = name, .alias = {}, .version = {}, .digest = {}});
    Json row = model_json(registry, latest);
    if (rows.empty()) text += "\nmodels\n";
    text += fmt::format("  {}@{}", name, latest.version);
    const auto aliases = row["aliases"].get<std::vector<std::string>>();
    if (!aliases.empty()) text += fmt::format("  {}", join(aliases, ", "));
    if (row.contains("headline"))
      text += fmt::format("  {}", printable(row["headline"].get<std::string>()));
    text += "\n";
    rows.push_back(std::move(row));
  }
  return rows;
}

void run(Session& session) {
  const config::ProjectFile& file = session.project_file();
  std::string text =
      fmt::format("project {} in {}\n", file.name, printable(session.project().root.native()));
  Json record = json_object({{"project", file.name}, {"root", session.project().root.native()}});
  record["datasets"] = dataset_rows(session, text);
  record["runs"] = run_rows(session, text);
  record["models"] = model_rows(session, text);
  if (file.datasets.empty() && file.tasks.empty())
    text += "\nnothing in mlp.yaml yet: name your data under 'datasets', your work under 'tasks'\n";
  session.output().emit(record, TextView{text});
}

} // namespace

extern const Command status_command;
const Command status_command = {
    .path = "status",
    .summary = "show the project at a glance: data, runs, models",
    .category = Category::project,
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp status", "what changed, what ran, what there is to serve"},
                 {"mlp status --json", "the same for a script"}},
    .run = run};

} // namespace mlp
