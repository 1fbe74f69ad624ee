// `mlp sweep resume`: goes on with a sweep that was stopped, failed or lost its process.
#include "cli/completers.hpp"
#include "cli/launching.hpp"
#include "cli/pinning.hpp"
#include "cli/sweeps.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

// Trials on other data could not be compared.
void check_data(Session& session, const sweep::SweepRecord& sweep) {
  std::vector<std::string> names;
  for (const track::DatasetUse& use : sweep.spec.trial.datasets)
    names.push_back(use.name);
  const auto now = pinned_datasets(session, names, true);
  for (std::size_t i = 0; i < now.size(); ++i)
    if (now[i].digest != sweep.spec.trial.datasets[i].digest)
      throw Error(ErrorKind::conflict,
                  fmt::format("dataset '{}' is not the version that sweep '{}' began with",
                              now[i].name, sweep.spec.id))
          .with_hint(fmt::format("it began with {}; start a new sweep with mlp sweep run",
                                 sweep.spec.trial.datasets[i].digest));
}

void run(Session& session) {
  const sweep::SweepFolder folder = find_sweep_folder(session, *session.arguments().get("SWEEP"));
  const sweep::SweepRecord sweep = sweep::read_sweep(folder);
  if (sweep.state == sweep::SweepState::finished)
    throw Error(ErrorKind::conflict, fmt::format("sweep '{}' has finished", folder.id()))
        .with_hint(fmt::format("see it with: mlp sweep show {}", folder.id()));
  if (sweep::is_driven(folder))
    throw Error(ErrorKind::conflict, fmt::format("sweep '{}' is running", folder.id()))
        .with_hint(fmt::format("see it with: mlp sweep show {}", folder.id()));
  check_data(session, sweep);
  check_secrets(
      session,
      config::load_project_file(folder.project_file()).task(sweep.spec.entry.task).secrets);
  drive_or_detach(session, folder);
}

} // namespace

extern const Command sweep_resume_command;
const Command sweep_resume_command = {
    .path = "sweep resume",
    .summary = "go on with a sweep that was stopped or killed",
    .category = Category::training,
    .arguments = {{.name = "SWEEP",
                   .help = "'latest', a sweep's name, or any part of its id that is its own",
                   .complete = complete_sweeps}},
    .options = {{.name = "--detach",
                 .help = "print the sweep's id and return; the sweep goes on",
                 .letter = 'd'}},
    .examples = {{"mlp sweep resume latest", "trials that have ended are not run again"}},
    .run = run};

} // namespace mlp
