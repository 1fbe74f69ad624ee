// `mlp runs compare`: several runs as one table, for a terminal, a report or a spreadsheet.
#include "cli/completers.hpp"
#include "cli/run_table.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  if (arguments.has("--md") && arguments.has("--csv"))
    throw Error(ErrorKind::usage, "--md and --csv exclude each other");
  std::vector<track::RunRecord> runs;
  for (const std::string& reference : arguments.all("RUN"))
    runs.push_back(track::read_run(find_run_folder(session, reference)));
  std::string text;
  if (arguments.has("--csv"))
    text = csv_text(run_table(runs, 0));
  else if (arguments.has("--md"))
    text = markdown_text(run_table(runs, 6));
  else
    text = aligned_text(run_table(runs, 4));
  session.output().emit(run_table_json(runs), TextView{std::move(text)});
}

} // namespace

extern const Command runs_compare_command;
const Command runs_compare_command = {
    .path = "runs compare",
    .summary = "show runs side by side: params that differ, and metrics",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .repeated = true,
                   .complete = complete_runs}},
    .options = {{.name = "--md", .help = "as a Markdown table"},
                {.name = "--csv", .help = "as CSV, numbers in full"}},
    .examples = {{"mlp runs compare k3f9qx 0d7m2w latest", "a row a run"},
                 {"mlp runs compare --md k3f9qx 0d7m2w > report.md", "for a report"},
                 {"mlp runs compare --csv k3f9qx 0d7m2w > runs.csv", "for a spreadsheet"}},
    .run = run};

} // namespace mlp
