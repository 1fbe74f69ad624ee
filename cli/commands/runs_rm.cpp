// `mlp runs rm`: removes run folders, but not those that something still needs.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/model/registry.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void check_removable(const track::RunFolder& folder, const model::ModelRegistry& registry,
                     bool force) {
  bool active = false;
  try {
    active = track::is_active(track::read_run(folder).state);
  } catch (const Error& error) { // damaged: there is no more to find out
    if (error.kind() == ErrorKind::denied) throw;
  }
  if (active)
    throw Error(ErrorKind::conflict, fmt::format("run '{}' has not ended", folder.id()))
        .with_hint(fmt::format("stop it first: mlp runs cancel {}", folder.id()));
  if (force) return;
  const std::vector<std::string> models = registry.registered_from(folder.id());
  if (!models.empty())
    throw Error(ErrorKind::conflict,
                fmt::format("run '{}' is where {} comes from", folder.id(), join(models, ", ")))
        .with_hint("--force removes it; the model stays, but its logs and metrics over time go");
}

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const model::ModelRegistry registry(session.project());
  std::vector<track::RunFolder> folders;
  for (const std::string& reference : arguments.all("RUN")) {
    folders.push_back(find_run_folder(session, reference));
    check_removable(folders.back(), registry, arguments.has("--force"));
  }
  Json removed = json_array();
  std::string text;
  for (const track::RunFolder& folder : folders) {
    if (!arguments.has("--dry-run") && !track::remove_run(folder)) continue;
    removed.push_back(folder.id());
    text += fmt::format("{} {}\n", arguments.has("--dry-run") ? "would remove" : "removed",
                        folder.id());
  }
  session.output().emit(
      json_object({{"removed", removed}, {"dry_run", arguments.has("--dry-run")}}), TextView{text});
}

} // namespace

extern const Command runs_rm_command;
const Command runs_rm_command = {
    .path = "runs rm",
    .summary = "remove runs with their logs, outputs and checkpoints",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .repeated = true,
                   .complete = complete_runs}},
    .options = {{.name = "--force", .help = "also runs that a registered model comes from"},
                dry_run_option()},
    .examples = {{"mlp runs rm k3f9qx", "remove one run"},
                 {"mlp runs rm --force latest", "even if a model comes from it"}},
    .run = run};

} // namespace mlp
