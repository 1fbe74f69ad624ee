// `mlp runs ls`: runs from the index, filtered and sorted.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"

#include <fmt/format.h>

#include <algorithm>

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

track::RunFilter filter_of(const Arguments& arguments) {
  track::RunFilter filter;
  filter.states = states_of(arguments);
  filter.task = arguments.get_or("--task", "");
  if (const auto where = arguments.get("--where"))
    filter.where = track::RunExpression::parse(*where, wall_now());
  if (const auto key = arguments.get("--sort")) filter.order = track::parse_run_order(*key);
  filter.limit =
      arguments.has("--all")
          ? 0
          : static_cast<std::size_t>(arguments.integer("--limit", 1, 1'000'000'000).value_or(20));
  return filter;
}

// The params and metrics that the words of the user name.
std::vector<track::RunField> named_fields(const track::RunFilter& filter) {
  std::vector<track::RunField> fields;
  if (filter.where) fields = filter.where->fields();
  if (filter.order) fields.push_back(filter.order->field);
  std::vector<track::RunField> out;
  for (track::RunField& field : fields)
    if (!field.name.empty() && std::ranges::find(out, field) == out.end())
      out.push_back(std::move(field));
  return out;
}

// A filter that matches nothing, or an order by nothing, may have a slip of the pen in it.
void warn_of_unknown(Session& session, track::RunIndex& index, const track::RunFilter& filter) {
  for (const track::RunField& field : named_fields(filter)) {
    const bool is_param = field.kind == track::RunField::Kind::params;
    const std::vector<std::string> names = index.names(field.kind);
    if (std::ranges::binary_search(names, field.name)) continue;
    const std::string_view group = is_param ? "params" : "metrics";
    const std::string hint = suggestion_hint(field.name, names, group);
    session.output().warning(fmt::format("no run has '{}.{}'{}{}", group, printable(field.name),
                                         hint.empty() ? "" : ": ", hint));
  }
}

TableView view_of(bool plain) {
  return {.rows = "runs",
          .columns = {{"run", "RUN"},
                      {"task", "TASK"},
                      {"state", "STATE"},
                      {"created", "CREATED", Format::age},
                      {"seconds", "TOOK", Format::duration},
                      {"headline", "METRIC"},
                      {"model", "MODEL"},
                      {"name", "NAME"}},
          .empty = plain ? "no runs; start one with: mlp train" : "no such run"};
}

void run(Session& session) {
  const track::RunFilter filter = filter_of(session.arguments());
  track::RunIndex index(index_paths(session.project()));
  // Any run may have become one that the filter is about; a plain list is of the newest.
  const bool plain = !filter.where && !filter.order && filter.states.empty() && filter.task.empty();
  index.sync(plain ? filter.limit : 0);
  const std::vector<track::RunRow> found = index.list(filter);
  // Runs without the field come last: if the first has none, no run has.
  const auto unsorted = [&] {
    return filter.order && std::holds_alternative<std::monostate>(
                               run_value(found.front(), filter.order->field, wall_now()));
  };
  if (found.empty() || unsorted()) warn_of_unknown(session, index, filter);
  const bool for_people = !session.output().options().json;
  bool tags = false, notes = false;
  Json rows = json_array();
  for (const track::RunRow& row : found) {
    rows.push_back(run_row_json(row));
    tags = tags || !row.tags.empty();
    notes = notes || !row.note.empty();
    if (for_people && !row.note.empty()) rows.back()["note"] = first_line(row.note, 40);
  }
  // Columns that are seldom needed are there if a row has something for them.
  TableView view = view_of(plain);
  std::vector<std::string> named; // what their columns view
  for (const track::RunField& field : named_fields(filter))
    if (field.name.find('.') == std::string::npos) named.push_back(track::run_field_text(field));
  for (const std::string& name : named)
    view.columns.push_back({name, name, Format::number});
  if (tags) view.columns.push_back({"tags", "TAGS"});
  if (notes) view.columns.push_back({"note", "NOTE"});
  session.output().emit(json_object({{"runs", std::move(rows)}}), view);
}

} // namespace

extern const Command runs_ls_command;
const Command runs_ls_command = {
    .path = "runs ls",
    .summary = "list runs, newest first, or by a filter and an order",
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
          .complete = complete_tasks},
         {.name = "--where",
          .value = "EXPRESSION",
          .help = "only runs for which it holds, such as 'params.lr<0.1 and metrics.acc>0.9'",
          .letter = 'w'},
         {.name = "--sort",
          .value = "KEY",
          .help = "by a field instead of newest first; -KEY: the largest first",
          .letter = 's',
          .complete = complete_run_fields}},
    .examples = {{"mlp runs ls", "the last 20 runs"},
                 {"mlp runs ls --state running", "what runs now"},
                 {"mlp runs ls --where 'params.lr < 0.1 and metrics.acc > 0.9'",
                  "by what is in them"},
                 {"mlp runs ls --where 'state = failed and created > 2d ago'", "what went wrong"},
                 {"mlp runs ls --sort -metrics.test_accuracy -n 5", "the best five"},
                 {"mlp runs ls --all --json", "everything, for a script"}},
    .run = run};

} // namespace mlp
