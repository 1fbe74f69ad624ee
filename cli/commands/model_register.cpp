// `mlp model register`: files, or the outputs of a run, as a new version of a model.
#include "cli/completers.hpp"
#include "cli/models.hpp"
#include "cli/registering.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const config::Project& project = session.project();
  const auto path = arguments.get("PATH");
  const auto reference = arguments.get("--run");
  if (!path && !reference)
    throw Error(ErrorKind::usage, "nothing to register")
        .with_hint("give a file or folder, or --run RUN for what a run has left");
  config::make_state_folders(project);
  std::optional<track::RunRecord> run;
  fs::path files;
  if (reference) {
    run = track::read_run(find_run_folder(session, *reference));
    if (track::is_active(run->state))
      throw Error(ErrorKind::conflict, fmt::format("run '{}' has not ended", run->spec.id))
          .with_hint("register its model when it has");
    files = path ? run->folder.outs() / *path : model_output(run->folder);
  } else {
    files = *path;
  }
  const model::ModelVersion version =
      register_model(project, *arguments.get("NAME"), files, run ? &*run : nullptr);
  const model::ModelRegistry registry(project);
  session.output().emit(model_json(registry, version),
                        TextView{fmt::format("{}@{}\n", version.name, version.version)});
}

} // namespace

extern const Command model_register_command;
const Command model_register_command = {
    .path = "model register",
    .summary = "register files, or what a run has left, as a model",
    .category = Category::serving,
    .arguments = {{.name = "NAME", .help = "the model's name", .complete = complete_models},
                  {.name = "PATH",
                   .help = "a file or folder; with --run, one below the run's outputs",
                   .required = false,
                   .complete = complete_files}},
    .options = {{.name = "--run",
                 .value = "RUN",
                 .help = "take the outputs, metrics and lineage of this run",
                 .complete = complete_runs}},
    .examples = {{"mlp model register digits --run latest", "the model of the newest run"},
                 {"mlp model register resnet models/resnet50.onnx", "a file from elsewhere"}},
    .run = run};

} // namespace mlp
