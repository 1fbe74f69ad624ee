// `mlp sweep run`: writes a sweep down with everything that its trials have in common, and drives
// it.
#include "cli/completers.hpp"
#include "cli/launching.hpp"
#include "cli/sweeps.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/sweep/searcher.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

std::string choose_sweep(Session& session) {
  const config::ProjectFile& file = session.project_file();
  if (const auto named = session.arguments().get("NAME")) {
    (void)file.sweep(*named);
    return *named;
  }
  if (file.sweeps.size() == 1) return file.sweeps.begin()->name;
  if (file.sweeps.empty())
    throw Error(ErrorKind::config, "mlp.yaml has no sweep")
        .with_hint("add one under 'sweeps:'; see: mlp sweep run --help");
  throw Error(ErrorKind::usage, "which sweep?")
      .with_hint(fmt::format("mlp.yaml has {}", join(file.sweeps.names(), ", ")));
}

sweep::Searcher searcher_of(const config::ProjectFile& file, const std::string& name) {
  const config::SweepEntry& entry = file.sweep(name);
  try {
    return {entry.searcher, sweep::Space(entry.parameters)};
  } catch (const Error& error) { // a grid without measure
    Error located = file.error_at({"sweeps", name, "parameters"}, error.message());
    for (const std::string& hint : error.hints())
      located.add_hint(hint);
    throw located;
  }
}

config::Task task_at(const config::ProjectFile& file, const config::SweepEntry& entry,
                     const sweep::Searcher& searcher, const sweep::Point& point) {
  config::OrderedMap<config::Scalar> overrides;
  for (const auto& [param, text] : searcher.space().texts_of(point))
    overrides.set(param, config::parse_scalar(text));
  return config::resolve_task(file, entry.task, overrides);
}

// The task with the first point. Checked now, while somebody is looking: that the task makes sense
// with it, and with the ends of each range and every choice instead of those of the point.
config::Task first_task(const config::ProjectFile& file, const config::SweepEntry& entry,
                        const sweep::Searcher& searcher) {
  const sweep::Point first = searcher.suggest().value();
  config::Task task = task_at(file, entry, searcher, first);
  if (!task.trainer && task.run.empty())
    throw Error(ErrorKind::config, fmt::format("task '{}' runs nothing", entry.task))
        .with_hint("give it 'run:' or 'trainer:' in mlp.yaml");
  for (std::size_t i = 0; i < first.size(); ++i) {
    const sweep::Dimension& dimension = searcher.space().dimensions()[i];
    std::vector<double> values{dimension.low, dimension.high};
    if (dimension.kind == sweep::DimensionKind::choice) {
      values.clear();
      for (std::size_t choice = 0; choice < std::min<std::size_t>(20, dimension.choices.size());
           ++choice)
        values.push_back(static_cast<double>(choice));
    }
    for (const double value : values) {
      sweep::Point point = first;
      point[i] = value;
      with_context(fmt::format("while trying {} = {}", dimension.name,
                               searcher.space().texts_of(point).at(dimension.name)),
                   [&] { (void)task_at(file, entry, searcher, point); });
    }
  }
  return task;
}

void show_plan(Session& session, const sweep::SweepSpec& spec, sweep::Searcher& searcher) {
  constexpr std::uint64_t shown = 10;
  Json trials = json_array();
  std::string text =
      fmt::format("would run {} trials of task '{}', {} at a time, for the {} {}\n",
                  searcher.planned(), spec.entry.task, spec.entry.searcher.max_concurrent,
                  spec.entry.searcher.mode == "max" ? "largest" : "smallest",
                  printable(spec.entry.searcher.metric));
  while (searcher.trials() < shown) {
    auto point = searcher.suggest();
    if (!point) break;
    sweep::SweepTrial trial;
    trial.params = searcher.space().texts_of(*point);
    trial.number = searcher.started(std::move(*point));
    text += fmt::format("trial {}: {}\n", trial.number, printable(params_text(trial)));
    trials.push_back(trial.params);
  }
  if (searcher.planned() > searcher.trials()) text += "...\n";
  if (!spec.model.empty()) text += fmt::format("model {}\n", spec.model);
  session.output().emit(
      json_object({{"dry_run", true}, {"planned", searcher.planned()}, {"first", trials}}),
      TextView{text});
}

void run(Session& session) {
  const bool dry_run = session.arguments().has("--dry-run");
  const config::ProjectFile& file = session.project_file();
  for (const std::string& note : file.notes)
    log_warning(note);
  sweep::SweepSpec spec;
  spec.name = choose_sweep(session);
  spec.entry = file.sweep(spec.name);
  sweep::Searcher searcher = searcher_of(file, spec.name);
  const config::Task task = first_task(file, spec.entry, searcher);
  // As a plain run of the task does, but once, at the end.
  spec.model = model_name(session, task, spec.entry.model.empty() ? task.model : spec.entry.model);
  spec.trial = new_run_spec(session, task, dry_run);
  spec.id = spec.trial.id;
  spec.trial.command = file.task(spec.entry.task).run;
  spec.trial.params.clear(); // of each trial its own
  if (dry_run) return show_plan(session, spec, searcher);
  config::make_state_folders(session.project());
  drive_or_detach(session,
                  sweep::create_sweep(session.project().sweeps(), spec, file.document->text()));
}

} // namespace

extern const Command sweep_run_command;
const Command sweep_run_command = {
    .path = "sweep run",
    .summary = "search for the best params of a task by many runs of it",
    .category = Category::training,
    .arguments = {{.name = "NAME",
                   .help = "a sweep of mlp.yaml; default: the only one",
                   .required = false,
                   .complete = complete_sweep_names}},
    .options = {{.name = "--detach",
                 .help = "print the sweep's id and return; the sweep goes on",
                 .letter = 'd'},
                {.name = "--register",
                 .value = "MODEL",
                 .help = "register the best trial's model under this name",
                 .complete = complete_models},
                no_image_option(),
                {.name = "--no-register", .help = "register no model"},
                dry_run_option()},
    .examples = {{"mlp sweep run", "the only sweep of mlp.yaml, to its end"},
                 {"mlp sweep run lr --dry-run", "how many trials, and the first of them"},
                 {"mlp sweep run lr --detach", "start it and return"}},
    .run = run};

} // namespace mlp
