// `mlp runs ls`: the newest runs, from the index.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

std::vector<track::RunState> states_of(const Arguments& arguments) {
  std::vector<track::RunState> out;
  for (const std::string& name : arguments.all("--state")) {
    const auto state = track::parse_state(name);
    if (!state) {
      std::vector<std::string> names;
      for (const track::RunState known : track::all_states())
        names.emplace_back(track::state_name(known));
      throw Error(ErrorKind::usage, fmt::format("no state '{}'", printable(name)))
          .with_hint(suggestion_hint(name, names, "states"));
    }
    out.push_back(*state);
  }
  return out;
}

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  track::RunFilter filter;
  filter.states = states_of(arguments);
  filter.task = arguments.get_or("--task", "");
  filter.limit =
      arguments.has("--all")
          ? 0
          : static_cast<std::size_t>(arguments.integer("--limit", 1, 1'000'000'000).value_or(20));
  track::RunIndex index(index_paths(session.project()));
  index.sync();
  Json rows = json_array();
  for (const track::RunRow& row : index.list(filter))
    rows.push_back(run_row_json(row));
  session.output().emit(json_object({{"runs", std::move(rows)}}),
                        TableView{.rows = "runs",
                                  .columns = {{"run", "RUN"},
                                              {"task", "TASK"},
                                              {"state", "STATE"},
                                              {"created", "CREATED", Format::age},
                                              {"seconds", "TOOK", Format::duration},
                                              {"headline", "METRIC"},
                                              {"model", "MODEL"},
                                              {"name", "NAME"}},
                                  .empty = "no runs; start one with: mlp train"});
}

} // namespace

extern const Command runs_ls_command;
const Command runs_ls_command = {
    .path = "runs ls",
    .summary = "list runs, newest first",
    .category = Category::training,
    .options =
        {{.name = "--limit", .value = "N", .help = "show N runs (default 20)", .letter = 'n'},
         {.name = "--all", .help = "show all runs", .letter = 'a'},
         {.name = "--state",
          .value = "STATE",
          .help = "only runs in this state; may be given several times",
          .repeated = true,
          .complete = complete_run_states},
         {.name = "--task",
          .value = "TASK",
          .help = "only runs of this task",
          .complete = complete_tasks}},
    .examples = {{"mlp runs ls", "the last 20 runs"},
                 {"mlp runs ls --state running", "what runs now"},
                 {"mlp runs ls --all --json", "everything, for a script"}},
    .run = run};

} // namespace mlp
