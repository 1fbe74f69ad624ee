// `mlp sweep show`: one sweep with its trials, the best first.
#include "cli/completers.hpp"
#include "cli/run_table.hpp"
#include "cli/runs.hpp"
#include "cli/sweeps.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/sweep/trial_watch.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

// What trials that still run have reported so far.
void look_at_running(Session& session, sweep::SweepRecord& sweep) {
  for (sweep::SweepTrial& trial : sweep.trials) {
    if (trial.state != sweep::TrialState::running) continue;
    sweep::TrialWatch watch({session.project().runs() / trial.run},
                            sweep.spec.entry.searcher.metric);
    watch.take_metrics([](double, double) {});
    trial.value = watch.value();
    trial.step = watch.step();
  }
}

RunTable table_of(const sweep::SweepRecord& sweep, const std::vector<sweep::SweepTrial>& trials) {
  const std::vector<std::string> params = sweep.spec.entry.parameters.names();
  RunTable table;
  table.header = {"TRIAL", "STATE", sweep.spec.entry.searcher.metric, "STEP"};
  table.header.insert(table.header.end(), params.begin(), params.end());
  table.header.emplace_back("RUN");
  table.numeric = {true, false, true, true};
  table.numeric.resize(table.header.size(), false);
  for (const sweep::SweepTrial& trial : trials) {
    std::vector<std::string> row{std::to_string(trial.number),
                                 std::string(trial_state_name(trial.state)),
                                 objective_text(trial.value), objective_text(trial.step)};
    for (const std::string& param : params) {
      const auto found = trial.params.find(param);
      const auto number =
          found == trial.params.end() ? std::nullopt : track::number_in(found->second);
      row.push_back(found == trial.params.end()          ? ""
                    : number && found->second.size() > 9 ? fmt::format("{:.4g}", *number)
                                                         : found->second);
    }
    row.push_back(trial.run);
    table.rows.push_back(std::move(row));
  }
  return table;
}

void run(Session& session) {
  sweep::SweepRecord sweep =
      sweep::read_sweep(find_sweep_folder(session, *session.arguments().get("SWEEP")));
  look_at_running(session, sweep);
  const std::vector<sweep::SweepTrial> trials = ranked_trials(sweep);
  const config::SearcherSpec& searcher = sweep.spec.entry.searcher;
  std::string text;
  const auto field = [&](std::string_view title, std::string_view value) {
    if (!value.empty()) text += fmt::format("{:<10}{}\n", title, printable(value));
  };
  field("sweep", sweep.spec.id);
  field("name", sweep.spec.name);
  field("task", sweep.spec.entry.task);
  field("searcher", fmt::format("{}, {} of {}", searcher.name,
                                searcher.mode == "max" ? "largest" : "smallest", searcher.metric));
  field("state", sweep.reason.empty()
                     ? std::string(state_name(sweep.state))
                     : fmt::format("{}: {}", state_name(sweep.state), sweep.reason));
  if (sweep.state == sweep::SweepState::lost || sweep.state == sweep::SweepState::stopped)
    field("", fmt::format("go on with: mlp sweep resume {}", sweep.spec.id));
  field("model", sweep.model);
  field("folder", sweep.folder.root.native());
  if (!trials.empty()) text += aligned_text(table_of(sweep, trials));
  for (const sweep::SweepTrial& trial : trials)
    if (!trial.reason.empty())
      text += fmt::format("trial {}: {}\n", trial.number, printable(first_line(trial.reason, 100)));
  if (sweep.damaged != 0)
    field("warning", fmt::format("{} damaged {} in its journal", sweep.damaged,
                                 sweep.damaged == 1 ? "line" : "lines"));
  session.output().emit(sweep_json(sweep), TextView{text});
}

} // namespace

extern const Command sweep_show_command;
const Command sweep_show_command = {
    .path = "sweep show",
    .summary = "show a sweep and its trials, the best first",
    .category = Category::training,
    .arguments = {{.name = "SWEEP",
                   .help = "'latest', a sweep's name, or any part of its id that is its own",
                   .complete = complete_sweeps}},
    .examples = {{"mlp sweep show latest", "the newest sweep"},
                 {"mlp sweep show lr --json", "the newest one of that name, for a script"}},
    .run = run};

} // namespace mlp
