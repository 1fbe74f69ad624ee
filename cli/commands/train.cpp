// `mlp train`: writes down a run, hands it to this machine, and follows it to its end.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/follow.hpp"
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

std::map<std::string, std::string> overrides_of(Session& session) {
  std::map<std::string, std::string> out;
  for (const std::string& text : session.arguments().all("--param")) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(ErrorKind::usage, fmt::format("'{}' is not NAME=VALUE", printable(text)))
          .with_hint("for example: --param lr=0.01");
    out[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return out;
}

std::string model_name(Session& session, const config::Task& task) {
  const Arguments& arguments = session.arguments();
  const auto named = arguments.get("--register");
  if (named && arguments.has("--no-register"))
    throw Error(ErrorKind::usage, "--register and --no-register exclude each other");
  if (arguments.has("--no-register")) return {};
  if (named && !is_valid_name(*named))
    throw Error(ErrorKind::usage,
                fmt::format("'{}' is no valid name for a model", printable(*named)));
  if (named) return *named;
  if (!task.model.empty()) return task.model;
  // A program's outputs are a model only if somebody says so.
  return task.trainer ? session.project_file().name : std::string();
}

track::RunSpec make_spec(Session& session, bool dry_run) {
  const config::ProjectFile& file = session.project_file();
  track::RunSpec spec;
  for (const std::string& note : file.notes)
    log_warning(note);
  spec.task = choose_task(session);
  spec.overrides = overrides_of(session);
  config::OrderedMap<config::Scalar> overrides;
  for (const auto& [name, text] : spec.overrides)
    overrides.set(name, config::parse_scalar(text));
  // Checks everything now, while somebody is looking.
  const config::Task task = config::resolve_task(file, spec.task, overrides);
  if (!runs_something(task))
    throw Error(ErrorKind::config, fmt::format("task '{}' runs nothing", spec.task))
        .with_hint("give it 'run:' or 'trainer:' in mlp.yaml");
  spec.created = wall_now();
  spec.id = new_run_id(spec.created);
  spec.name = session.arguments().get_or("--name", "");
  spec.project = file.name;
  spec.user = track::user_name();
  spec.host = track::host_name();
  spec.mlp_version = MLP_VERSION;
  spec.command = file.task(spec.task).run;
  for (const auto& entry : task.params)
    spec.params[entry.name] = dump_json(entry.value.to_json());
  spec.model = model_name(session, task);
  spec.outs = task.outs;
  for (const auto& entry : task.env)
    spec.environment.push_back(entry.name);
  spec.num_nodes = task.num_nodes;
  spec.datasets = pinned_datasets(session, task.data, dry_run);
  spec.source = track::source_state(session.project().root);
  return spec;
}

job::JobSpec job_of(Session& session, const track::RunFolder& run, const track::RunSpec& spec) {
  return {.run_id = spec.id,
          .run_folder = run.root,
          .project = session.project().root,
          .resources = session.project_file().task(spec.task).resources,
          .num_nodes = spec.num_nodes};
}

void show_plan(Session& session, job::Backend& backend) {
  const track::RunSpec spec = make_spec(session, true);
  const track::RunFolder run{session.project().runs() / spec.id};
  const std::string submitted = backend.render(job_of(session, run, spec));
  Json record = track::to_json(spec);
  std::string text =
      fmt::format("would run task '{}' on this machine:\n  {}", spec.task, submitted);
  if (!spec.command.empty()) text += fmt::format("which runs:\n  {}\n", trim(spec.command));
  for (const auto& [name, value] : spec.params)
    text += fmt::format("param {} = {}\n", name, value);
  for (const track::DatasetUse& use : spec.datasets)
    text +=
        fmt::format("data {} = {}\n", use.name, use.digest.empty() ? "(to be added)" : use.digest);
  if (!spec.model.empty()) text += fmt::format("model {}\n", spec.model);
  session.output().emit(json_object({{"dry_run", true}, {"spec", record}, {"submits", submitted}}),
                        TextView{text});
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
  if (!job::enqueue(run, "resumed", backend.name()))
    throw Error(ErrorKind::conflict, fmt::format("run '{}' is just being started", run.id()));
  session.output().status(fmt::format("resuming run {}", run.id()));
  return run;
}

void report(Session& session, const track::RunRecord& run) {
  if (run.state != track::RunState::succeeded) throw run_error(run);
  const double seconds = run.started && run.ended
                             ? std::chrono::duration<double>(*run.ended - *run.started).count()
                             : 0.0;
  std::string text = fmt::format("run {} succeeded in {}\n", run.spec.id,
                                 format_duration(std::chrono::duration<double>(seconds)));
  std::size_t width = 0;
  std::vector<std::pair<std::string, double>> shown;
  for (const auto& [name, value] : run.metrics)
    if (name.starts_with("test_") || name.starts_with("val_")) shown.emplace_back(name, value);
  if (shown.empty()) shown.assign(run.metrics.begin(), run.metrics.end());
  if (shown.size() > 20) shown.resize(20);
  for (const auto& [name, value] : shown)
    width = std::max(width, name.size());
  for (const auto& [name, value] : shown)
    text += fmt::format("  {:<{}}  {:.4g}\n", printable(name), width, value);
  for (const std::string& model : run.models)
    text += fmt::format("model {}\n", model);
  for (const std::string& warning : run.warnings)
    session.output().warning(warning);
  session.output().emit(run_json(run), TextView{text});
}

void run(Session& session) {
  local::LocalBackend backend(this_executable());
  const Arguments& arguments = session.arguments();
  const auto resumed = arguments.get("--resume");
  if (arguments.has("--dry-run") && !resumed) return show_plan(session, backend);

  track::RunFolder folder;
  track::RunSpec spec;
  if (resumed) {
    folder = resume(session, backend, *resumed);
    spec = track::read_run_spec(folder);
  } else {
    spec = make_spec(session, false);
    config::make_state_folders(session.project());
    folder = track::create_run(session.project().runs(), spec,
                               session.project_file().document->text(), "made by mlp train");
  }
  const CancelWishes wishes;
  const std::string handle = backend.submit(job_of(session, folder, spec));
  if (arguments.has("--detach")) {
    session.output().emit(json_object({{"run", spec.id}, {"state", "queued"}, {"folder", handle}}),
                          TextView{spec.id + "\n"});
    return;
  }
  session.output().status(fmt::format("run {} of task '{}'", spec.id, spec.task));
  const bool trainer = spec.command.empty();
  report(session, follow_run(session, backend, handle, trainer, wishes));
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
                {.name = "--no-register", .help = "register no model"},
                dry_run_option()},
    .examples = {{"mlp train", "run the task 'train' and wait for its end"},
                 {"mlp train -p lr=0.01 -p epochs=5", "the same with other params"},
                 {"mlp train --detach", "start it and return"},
                 {"mlp train --resume latest", "go on where a run was stopped"}},
    .run = run};

} // namespace mlp
