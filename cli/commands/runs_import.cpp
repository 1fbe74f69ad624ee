// `mlp runs import`: takes in run folders that were copied from elsewhere.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/track/run_copy.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

// The folder itself if it is a run, else the runs in it, the oldest first.
std::vector<fs::path> run_folders(const fs::path& folder) {
  if (fs::exists(fs::symlink_status(folder / "spec.json"))) return {folder};
  if (!fs::is_directory(folder))
    throw Error(ErrorKind::not_found, fmt::format("no folder '{}'", printable(folder.native())));
  std::vector<std::string> ids = track::run_ids(folder);
  std::ranges::reverse(ids);
  if (ids.empty())
    throw Error(ErrorKind::not_found, fmt::format("no run in '{}'", printable(folder.native())))
        .with_hint("give a folder that has a spec.json, or one with such folders in it");
  std::vector<fs::path> out;
  for (const std::string& id : ids)
    out.push_back(folder / id);
  return out;
}

std::string line_of(const track::CopiedRun& copy) {
  if (!copy.copied) return fmt::format("{} is there already\n", copy.run.id());
  return fmt::format("imported {}: {} files, {}\n", copy.run.id(), copy.files,
                     format_bytes(copy.bytes));
}

void warn(Session& session, const track::CopiedRun& copy) {
  if (copy.damaged != 0)
    session.output().warning(fmt::format("run '{}' has {} damaged {} in its journals",
                                         copy.run.id(), copy.damaged,
                                         copy.damaged == 1 ? "line" : "lines"));
  if (copy.cut_off)
    session.output().warning(
        fmt::format("run '{}' had not ended when it was copied: it counts as lost", copy.run.id()));
}

void run(Session& session) {
  Json imported = json_array();
  std::string text;
  for (const fs::path& folder : run_folders(*session.arguments().get("DIR"))) {
    const track::CopiedRun copy = track::import_run(
        folder, session.project().runs(), session.stop_token(), session.output().progress());
    warn(session, copy);
    text += line_of(copy);
    imported.push_back(json_object({{"run", copy.run.id()},
                                    {"copied", copy.copied},
                                    {"files", copy.files},
                                    {"bytes", copy.bytes},
                                    {"damaged", copy.damaged}}));
  }
  session.output().emit(json_object({{"runs", std::move(imported)}}), TextView{text});
}

} // namespace

extern const Command runs_import_command;
const Command runs_import_command = {
    .path = "runs import",
    .summary = "take in runs that were copied from another project or machine",
    .category = Category::training,
    .arguments = {{.name = "DIR",
                   .help = "a run's folder, or a folder with such folders in it",
                   .complete = complete_directories}},
    .examples = {{"mlp runs import /mnt/stick", "all runs in that folder"},
                 {"mlp runs import ../other/.mlp/runs/20260131-120000-k3f9qx",
                  "one run of another project"}},
    .run = run};

} // namespace mlp
