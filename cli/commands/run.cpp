// `mlp run`: any program as a run, without a task in mlp.yaml. The run's own copy of mlp.yaml gets
// the task that says what was typed, so that it is understood and resumed like any other.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/launching.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

// What the program is called, as far as it can be the name of a task.
std::string task_name(const std::string& program) {
  const std::string name = fs::path(program).filename().native();
  return is_valid_name(name) ? name : "run";
}

Json list_of(const std::vector<std::string>& texts) {
  Json list = json_array();
  for (const std::string& text : texts)
    list.push_back(text);
  return list;
}

// An mlp.yaml of that one task; JSON is YAML.
std::string project_text(Session& session, const std::string& task) {
  const Arguments& arguments = session.arguments();
  std::vector<std::string> words;
  for (const std::string& word : arguments.all("COMMAND"))
    words.push_back(shell_quote(word));
  Json entry = json_object({{"run", "exec " + join(words, " ")},
                            {"data", list_of(arguments.all("--data"))},
                            {"outs", list_of(arguments.all("--out"))}});
  Json secrets = list_of(arguments.all("--secret"));
  for (const std::string& secret : arguments.all("--secret-file"))
    secrets.push_back(json_object({{"name", secret}, {"file", true}}));
  if (!secrets.empty()) entry["secrets"] = std::move(secrets);
  Json params = json_object();
  for (const auto& [name, text] : overrides_of(session))
    params[name] = config::parse_scalar(text).to_json();
  entry["params"] = std::move(params);
  if (const auto model = arguments.get("--register")) entry["model"] = *model;
  if (const auto nodes = arguments.integer("--num-nodes", 1, 100'000)) entry["num_nodes"] = *nodes;
  if (const auto procs = arguments.integer("--procs-per-node", 1, 1000))
    entry["procs_per_node"] = *procs;
  if (const auto per = arguments.get("--run-per")) entry["run_per"] = *per;
  if (const auto time = arguments.get("--max-duration"))
    entry["resources"] = json_object({{"max_duration", *time}});
  if (const auto restarts = arguments.integer("--restarts", 0, 1000))
    entry["job_recovery"] = json_object({{"max_restarts_on_errors", *restarts}});
  Json datasets = json_object();
  for (const std::string& name : arguments.all("--data"))
    datasets[name] = json_object({{"path", session.project_file().dataset(name).path}});
  Json tasks = json_object();
  tasks[task] = std::move(entry);
  return dump_json(json_object({{"name", session.project_file().name},
                                {"datasets", std::move(datasets)},
                                {"tasks", std::move(tasks)}})) +
         "\n";
}

std::vector<Candidate> complete_run_per(Session&) {
  return {{"process", ""}, {"node", ""}, {"job", ""}};
}

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const std::string name = task_name(arguments.all("COMMAND").front());
  const std::string text = project_text(session, name);
  const config::ProjectFile file = config::parse_project_file(text, "the command line");
  const config::Task task = config::resolve_task(file, name, {});
  const bool dry_run = arguments.has("--dry-run");
  track::RunSpec spec = new_run_spec(session, task, dry_run);
  spec.command = file.task(name).run;
  spec.model = task.model;
  local::LocalBackend backend(this_executable());
  if (dry_run) return show_plan(session, backend, spec, task.resources);
  launch(session, backend, spec, task.resources, text, "made by mlp run");
}

} // namespace

extern const Command run_command;
const Command run_command = {
    .path = "run",
    .summary = "run any program and keep its metrics, logs and outputs",
    .category = Category::training,
    .arguments = {{.name = "COMMAND",
                   .help = "the program and its arguments, none of which are options of mlp",
                   .repeated = true,
                   .complete = complete_files,
                   .verbatim = true}},
    .options =
        {{.name = "--param",
          .value = "NAME=VALUE",
          .help = "a parameter, for ${params.NAME} in the command and for $MLP_PARAMS",
          .letter = 'p',
          .repeated = true},
         {.name = "--data",
          .value = "DATASET",
          .help = "a dataset that it reads, found in $MLP_DATA_<NAME>",
          .repeated = true,
          .complete = complete_datasets},
         {.name = "--secret",
          .value = "NAME",
          .help = "a secret that it gets as the environment variable NAME",
          .repeated = true,
          .complete = complete_secrets},
         {.name = "--secret-file",
          .value = "NAME",
          .help = "a secret that it gets as a file, whose path is in the variable NAME",
          .repeated = true,
          .complete = complete_secrets},
         {.name = "--out",
          .value = "PATH",
          .help = "a file or folder that it must have made in $MLP_OUT_DIR",
          .repeated = true},
         {.name = "--detach",
          .help = "print the run's id and return; the run goes on",
          .letter = 'd'},
         {.name = "--name", .value = "TEXT", .help = "a title for the run"},
         {.name = "--register",
          .value = "MODEL",
          .help = "register the model that it made under this name",
          .complete = complete_models},
         {.name = "--procs-per-node",
          .value = "N",
          .help = "start it N times, with the launch variables of distributed training"},
         {.name = "--num-nodes", .value = "N", .help = "as if on N nodes, all of them here"},
         {.name = "--run-per",
          .value = "UNIT",
          .help = "start COMMAND for each process (the default), for each node (torchrun) or once "
                  "for the job (mpirun)",
          .complete = complete_run_per},
         {.name = "--max-duration", .value = "TIME", .help = "stop it after that, such as 2h"},
         {.name = "--restarts", .value = "N", .help = "start it again up to N times when it fails"},
         no_image_option(),
         dry_run_option()},
    .examples = {{"mlp run python train.py --lr 0.1", "everything after COMMAND is its own"},
                 {"mlp run -p lr=0.1 --data digits -- python train.py '--lr=${params.lr}'",
                  "with a parameter and data that are on record"},
                 {"mlp run --secret HF_TOKEN python train.py", "with a secret of mlp secret set"},
                 {"mlp run --procs-per-node 4 python train.py", "four ranks of torch.distributed"},
                 {"mlp run -d --restarts 3 ./train.sh", "in the background, again when it fails"}},
    .run = run};

} // namespace mlp
