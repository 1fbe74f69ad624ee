// `mlp train`: writes down a run, hands it to this machine, and follows it to its end.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/launching.hpp"
#include "cli/pinning.hpp"
#include "cli/runs.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/log.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/job/supervisor.hpp"
#include "core/job/work.hpp"
#include "core/track/source_state.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

bool runs_something(const config::Task& task) {
  return task.trainer.has_value() || !task.run.empty();
}

// The task named, else `train`, else the only one.
std::string choose_task(Session& session) {
  const config::ProjectFile& file = session.project_file();
  if (const auto named = session.arguments().get("TASK")) return file.task(*named).name;
  if (file.tasks.contains("train")) return "train";
  std::vector<std::string> names;
  for (const auto& entry : file.tasks)
    if (runs_something(entry.value)) names.push_back(entry.name);
  if (names.size() == 1) return names.front();
  if (names.empty())
    throw Error(ErrorKind::config, "mlp.yaml has no task to run")
        .with_hint("add one under 'tasks:', or start from a template: mlp init --list");
  throw Error(ErrorKind::usage, "which task?")
      .with_hint(fmt::format("mlp.yaml has {}", join(names, ", ")));
}

track::RunSpec make_spec(Session& session, bool dry_run) {
  const config::ProjectFile& file = session.project_file();
  for (const std::string& note : file.notes)
    log_warning(note);
  const std::string name = choose_task(session);
  const auto given = overrides_of(session);
  config::OrderedMap<config::Scalar> overrides;
  for (const auto& [param, text] : given)
    overrides.set(param, config::parse_scalar(text));
  // Checks everything now, while somebody is looking.
  const config::Task task = config::resolve_task(file, name, overrides);
  if (!runs_something(task))
    throw Error(ErrorKind::config, fmt::format("task '{}' runs nothing", name))
        .with_hint("give it 'run:' or 'trainer:' in mlp.yaml");
  track::RunSpec spec = new_run_spec(session, task, dry_run);
  spec.overrides = given;
  spec.command = file.task(name).run;
  spec.model = model_name(session, task, task.model);
  return spec;
}

const config::Resources& resources_of(Session& session, const track::RunSpec& spec) {
  return session.project_file().task(spec.task).resources;
}

// A new attempt of a run that ended; what it reads must be what it began with.
track::RunFolder resume(Session& session, job::Backend& backend, const std::string& reference) {
  if (session.arguments().has("TASK") || session.arguments().has("--param"))
    throw Error(ErrorKind::usage, "--resume goes on with the task and params of the run")
        .with_hint("leave TASK and --param out, or start a new run");
  const track::RunFolder run = find_run_folder(session, reference);
  const track::RunRecord record = track::read_run(run);
  if (track::is_active(record.state))
    throw Error(ErrorKind::conflict,
                fmt::format("run '{}' is {}", run.id(), track::state_name(record.state)))
        .with_hint(fmt::format("follow it with: mlp runs logs -f {}", run.id()));
  std::vector<std::string> names;
  for (const track::DatasetUse& use : record.spec.datasets)
    names.push_back(use.name);
  const auto now = pinned_datasets(session, names, true);
  for (std::size_t i = 0; i < now.size(); ++i)
    if (now[i].digest != record.spec.datasets[i].digest)
      throw Error(ErrorKind::conflict,
                  fmt::format("dataset '{}' is not the version that run '{}' began with",
                              now[i].name, run.id()))
          .with_hint(fmt::format("it began with {}; start a new run with mlp train",
                                 record.spec.datasets[i].digest));
  check_secrets(session,
                config::load_project_file(run.project_file()).task(record.spec.task).secrets);
  if (!job::enqueue(run, "resumed", backend.name()))
    throw Error(ErrorKind::conflict, fmt::format("run '{}' is just being started", run.id()));
  session.output().status(fmt::format("resuming run {}", run.id()));
  return run;
}

void run(Session& session) {
  local::LocalBackend backend(this_executable());
  const Arguments& arguments = session.arguments();
  if (const auto resumed = arguments.get("--resume")) {
    const track::RunFolder folder = resume(session, backend, *resumed);
    const std::string task = track::read_run_spec(folder).task; // of the run's own mlp.yaml
    return follow_launched(session, backend, folder,
                           config::load_project_file(folder.project_file()).task(task).resources);
  }
  const track::RunSpec spec = make_spec(session, arguments.has("--dry-run"));
  if (arguments.has("--dry-run"))
    return show_plan(session, backend, spec, resources_of(session, spec));
  launch(session, backend, spec, resources_of(session, spec),
         session.project_file().document->text(), "made by mlp train");
}

} // namespace

extern const Command train_command;
const Command train_command = {
    .path = "train",
    .summary = "run a task and keep its metrics, logs and model",
    .category = Category::training,
    .arguments = {{.name = "TASK",
                   .help = "a task of mlp.yaml; default: 'train', or the only one",
                   .required = false,
                   .complete = complete_tasks}},
    .options = {{.name = "--param",
                 .value = "NAME=VALUE",
                 .help = "set one of the task's params for this run",
                 .letter = 'p',
                 .repeated = true},
                {.name = "--detach",
                 .help = "print the run's id and return; the run goes on",
                 .letter = 'd'},
                {.name = "--resume",
                 .value = "RUN",
                 .help =
                     "go on with a run that failed, was cancelled or is lost, from its checkpoints",
                 .complete = complete_runs},
                {.name = "--name", .value = "TEXT", .help = "a title for the run"},
                {.name = "--register",
                 .value = "MODEL",
                 .help = "register the model under this name",
                 .complete = complete_models},
                no_image_option(),
                {.name = "--no-register", .help = "register no model"},
                dry_run_option()},
    .examples = {{"mlp train", "run the task 'train' and wait for its end"},
                 {"mlp train -p lr=0.01 -p epochs=5", "the same with other params"},
                 {"mlp train --detach", "start it and return"},
                 {"mlp train --resume latest", "go on where a run was stopped"}},
    .run = run};

} // namespace mlp
