// Sweeps at the command line.
#include "cli/sweeps.hpp"

#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/follow.hpp"
#include "cli/launching.hpp"
#include "cli/registering.hpp"
#include "cli/runs.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/sweep/driver.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>

namespace mlp {

namespace {

using sweep::SweepRecord;
using sweep::SweepTrial;
using sweep::TrialState;

std::string best_text(const SweepTrial* best) {
  return best == nullptr
             ? "no best yet"
             : fmt::format("best {} of trial {}", objective_text(best->value), best->number);
}

std::string trial_line(const SweepRecord& sweep, const SweepTrial& trial,
                       const sweep::DriverProgress& progress) {
  std::string line = fmt::format("trial {}/{} ", trial.number, progress.planned);
  if (trial.state == TrialState::finished)
    line += fmt::format("finished: {} {}", sweep.spec.entry.searcher.metric,
                        objective_text(trial.value));
  else if (trial.state == TrialState::stopped)
    line += fmt::format("{}; {} {}", trial.reason, sweep.spec.entry.searcher.metric,
                        objective_text(trial.value));
  else
    line += trial.reason.starts_with("failed: ") ? trial.reason : "failed: " + trial.reason;
  return printable(fmt::format("{} ({}); {}; run {}", line, best_text(progress.best),
                               params_text(trial), trial.run));
}

// Supervisors of trials that have ended are our children.
void reap_children() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

std::string register_best(Session& session, const SweepRecord& sweep, const SweepTrial& best) {
  const track::RunFolder folder{session.project().runs() / best.run};
  const track::RunRecord run = track::read_run(folder);
  const model::ModelVersion version =
      register_model(session.project(), sweep.spec.model, model_output(folder), &run);
  std::string name = fmt::format("{}@{}", version.name, version.version);
  track::RunWriter(folder).event("model",
                                 json_object({{"model", name}, {"digest", version.digest.text()}}));
  return name;
}

std::string summary(const SweepRecord& sweep) {
  std::map<TrialState, int> counts;
  for (const SweepTrial& trial : sweep.trials)
    ++counts[trial.state];
  std::string text = fmt::format("sweep {} finished: {} {}", sweep.spec.id, sweep.trials.size(),
                                 sweep.trials.size() == 1 ? "trial" : "trials");
  if (counts[TrialState::stopped] != 0)
    text += fmt::format(", {} stopped early", counts[TrialState::stopped]);
  if (counts[TrialState::failed] != 0)
    text += fmt::format(", {} failed", counts[TrialState::failed]);
  text += '\n';
  if (const SweepTrial* best = sweep.best()) {
    text += fmt::format("best: trial {}, {} {}, run {}\n", best->number,
                        printable(sweep.spec.entry.searcher.metric), objective_text(best->value),
                        best->run);
    for (const auto& [name, value] : best->params)
      text += fmt::format("  {} = {}\n", printable(name), printable(value));
  }
  if (!sweep.model.empty()) text += fmt::format("model {}\n", sweep.model);
  return text;
}

void drive_here(Session& session, const sweep::SweepFolder& folder) {
  Output& output = session.output();
  const CancelWishes wishes;
  local::LocalBackend backend(this_executable());
  const SweepRecord before = sweep::read_sweep(folder);
  output.status(fmt::format("sweep {} of task '{}'", folder.id(), before.spec.entry.task));
  const bool draws = output.draws_progress();
  std::uint64_t shown = 0;
  bool begun = false;
  int heard = 0;
  sweep::DriverHooks hooks;
  hooks.code_limits = code_limits(session);
  hooks.stop_wishes = [&] {
    const int now = wishes.interrupts() + wishes.terminations();
    if (now == 1 && heard == 0)
      output.status("stopping the sweep and its trials; press Ctrl-C again to kill them");
    return heard = now;
  };
  hooks.trial_ended = [&](const SweepTrial& trial, const sweep::DriverProgress& progress) {
    output.status(trial_line(before, trial, progress));
  };
  hooks.tick = [&](const sweep::DriverProgress& progress) {
    reap_children();
    if (!draws) return;
    if (!begun) output.progress().begin("sweep", progress.planned, ProgressUnit::count);
    begun = true;
    if (progress.ended > shown) output.progress().advance(progress.ended - shown);
    shown = progress.ended;
    output.progress().note(
        fmt::format("{} running · {}", progress.running, best_text(progress.best)));
  };
  hooks.register_best = [&](const SweepTrial& best) {
    return register_best(session, before, best);
  };
  const SweepRecord after = drive_sweep(folder, session.project(), backend, hooks);
  reap_children();
  if (draws) output.progress().end();
  if (after.state == sweep::SweepState::stopped)
    throw Error(ErrorKind::interrupted,
                fmt::format("sweep '{}' was stopped: {}", folder.id(), printable(after.reason)))
        .with_hint(fmt::format("go on with: mlp sweep resume {}", folder.id()));
  output.emit(sweep_json(after), TextView{summary(after)});
}

} // namespace

sweep::SweepFolder find_sweep_folder(Session& session, std::string_view reference) {
  return sweep::find_sweep(session.project().sweeps(), reference);
}

void drive_or_detach(Session& session, const sweep::SweepFolder& folder) {
  if (!session.arguments().has("--detach")) return drive_here(session, folder);
  const File log = File::open_append(folder.driver_log());
  ProcessSpec spec;
  spec.arguments = {this_executable().native(), "sweep", "resume", folder.id()};
  spec.directory = session.project().root;
  spec.standard_output = log.fd();
  spec.standard_error = log.fd();
  spec.new_session = true;
  (void)Process::spawn(spec);
  session.output().emit(json_object({{"sweep", folder.id()}, {"folder", folder.root.native()}}),
                        TextView{folder.id() + "\n"});
}

std::string objective_text(const std::optional<double>& value) {
  return value ? fmt::format("{:.6g}", *value) : "-";
}

std::string params_text(const SweepTrial& trial) {
  std::vector<std::string> words;
  for (const auto& [name, value] : trial.params) {
    const auto number = track::number_in(value);
    const bool is_long = number && value.size() > 9;
    words.push_back(fmt::format("{}={}", name, is_long ? fmt::format("{:.4g}", *number) : value));
  }
  return join(words, " ");
}

std::vector<SweepTrial> ranked_trials(const SweepRecord& sweep) {
  constexpr std::array<int, 4> order{2, 0, 1, 3}; // by TrialState
  const double sign = sweep.spec.entry.searcher.mode == "max" ? -1 : 1;
  std::vector<SweepTrial> out = sweep.trials;
  std::stable_sort(out.begin(), out.end(), [&](const SweepTrial& a, const SweepTrial& b) {
    const int first = order[static_cast<std::size_t>(a.state)];
    const int second = order[static_cast<std::size_t>(b.state)];
    if (first != second) return first < second;
    if (a.state == TrialState::stopped && a.step != b.step) return a.step > b.step;
    if (a.value.has_value() != b.value.has_value()) return a.value.has_value();
    return a.value && sign * *a.value < sign * *b.value;
  });
  return out;
}

Json sweep_json(const SweepRecord& sweep) {
  const config::SearcherSpec& searcher = sweep.spec.entry.searcher;
  Json trials = json_array();
  for (const SweepTrial& trial : ranked_trials(sweep)) {
    Json params = json_object();
    for (const auto& [name, text] : trial.params)
      params[name] = config::parse_scalar(text).to_json();
    Json entry = json_object({{"trial", trial.number},
                              {"run", trial.run},
                              {"state", trial_state_name(trial.state)},
                              {"params", params}});
    if (trial.value) entry["value"] = *trial.value;
    if (trial.step) entry["step"] = *trial.step;
    if (!trial.reason.empty()) entry["reason"] = trial.reason;
    trials.push_back(std::move(entry));
  }
  Json out = json_object({{"sweep", sweep.spec.id},
                          {"name", sweep.spec.name},
                          {"task", sweep.spec.entry.task},
                          {"searcher", searcher.name},
                          {"metric", searcher.metric},
                          {"mode", searcher.mode},
                          {"state", state_name(sweep.state)},
                          {"reason", sweep.reason},
                          {"created", format_time(sweep.spec.trial.created)},
                          {"folder", sweep.folder.root.native()},
                          {"trials", trials}});
  if (const SweepTrial* best = sweep.best()) out["best"] = best->number;
  if (!sweep.model.empty()) out["model"] = sweep.model;
  return out;
}

std::vector<Candidate> complete_sweeps(Session& session) {
  std::vector<Candidate> out;
  constexpr std::size_t shown = 50;
  for (const std::string& id : sweep::sweep_ids(session.project().sweeps())) {
    if (out.size() == shown) break;
    try {
      const SweepRecord sweep = sweep::read_sweep({session.project().sweeps() / id});
      out.push_back({id, fmt::format("{}, {}", sweep.spec.name, state_name(sweep.state))});
    } catch (const Error&) {
      out.push_back({id, "damaged"});
    }
  }
  return out;
}

std::vector<Candidate> complete_sweep_names(Session& session) {
  std::vector<Candidate> out;
  for (const auto& entry : session.project_file().sweeps)
    out.push_back(
        {entry.name, fmt::format("{} of task {}", entry.value.searcher.name, entry.value.task)});
  return out;
}

} // namespace mlp
