// `mlp sweep ls`: sweeps from their journals, newest first.
#include "cli/sweeps.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"

#include <algorithm>

namespace mlp {

namespace {

void run(Session& session) {
  const fs::path sweeps = session.project().sweeps();
  const auto limit =
      static_cast<std::size_t>(session.arguments().integer("--limit", 1, 1'000'000).value_or(20));
  std::vector<std::string> ids = sweep::sweep_ids(sweeps);
  if (ids.size() > limit) ids.resize(limit);
  Json rows = json_array();
  for (const std::string& id : ids) {
    try {
      const sweep::SweepRecord sweep = sweep::read_sweep({sweeps / id});
      const auto ended =
          std::count_if(sweep.trials.begin(), sweep.trials.end(), [](const auto& trial) {
            return trial.state != sweep::TrialState::running;
          });
      Json row = json_object({{"sweep", id},
                              {"name", sweep.spec.name},
                              {"task", sweep.spec.entry.task},
                              {"searcher", sweep.spec.entry.searcher.name},
                              {"state", state_name(sweep.state)},
                              {"created", format_time(sweep.spec.trial.created)},
                              {"trials", sweep.trials.size()},
                              {"ended", ended},
                              {"metric", sweep.spec.entry.searcher.metric}});
      if (const sweep::SweepTrial* best = sweep.best()) row["best"] = best->value.value();
      if (!sweep.model.empty()) row["model"] = sweep.model;
      rows.push_back(std::move(row));
    } catch (const Error& error) {
      rows.push_back(json_object({{"sweep", id}, {"state", "damaged"}}));
      session.output().warning(printable(error.message()));
    }
  }
  session.output().emit(json_object({{"sweeps", rows}}),
                        TableView{.rows = "sweeps",
                                  .columns = {{"sweep", "SWEEP"},
                                              {"name", "NAME"},
                                              {"searcher", "SEARCHER"},
                                              {"state", "STATE"},
                                              {"created", "CREATED", Format::age},
                                              {"ended", "ENDED", Format::count},
                                              {"trials", "TRIALS", Format::count},
                                              {"metric", "METRIC"},
                                              {"best", "BEST", Format::number},
                                              {"model", "MODEL"}},
                                  .empty = "no sweeps; start one with: mlp sweep run"});
}

} // namespace

extern const Command sweep_ls_command;
const Command sweep_ls_command = {
    .path = "sweep ls",
    .summary = "list sweeps, newest first",
    .category = Category::training,
    .options =
        {{.name = "--limit", .value = "N", .help = "show N sweeps (default 20)", .letter = 'n'}},
    .examples = {{"mlp sweep ls", "the last 20 sweeps, how far they are and their best values"}},
    .run = run};

} // namespace mlp
