// `mlp runs show`: one run from its own journals.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/logged.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

class Lines {
 public:
  void field(std::string_view title, std::string_view value) {
    if (!value.empty()) text += fmt::format("{:<10}{}\n", title, printable(value));
  }
  // A text of several lines.
  void block(std::string_view title, std::string_view value) {
    for (const std::string& line : split(std::string(value), '\n')) {
      if (line.empty()) continue;
      field(title, line);
      title = "";
    }
  }
  void item(std::string_view name, std::string_view value) {
    text += fmt::format("  {}  {}\n", printable(name), printable(value));
  }
  std::string text;
};

std::string state_line(const track::RunRecord& run) {
  std::string line(track::state_name(run.state));
  if (!run.reason.empty()) line += ": " + run.reason;
  return line;
}

std::string source_line(const track::SourceState& source) {
  if (!source.dirty && source.commit.empty()) return "kept, outside git";
  std::string line = source.commit.empty() ? "no commit yet" : source.commit.substr(0, 12);
  if (!source.branch.empty()) line += " on " + source.branch;
  if (source.dirty.value_or(false))
    line += source.complete ? ", with uncommitted changes (kept)" : ", with uncommitted changes";
  return line;
}

// Those of the program, or the last samples of the machine.
void add_metrics(Lines& lines, const std::map<std::string, double>& metrics, const char* title,
                 bool machine) {
  bool first = true;
  for (const auto& [name, value] : metrics) {
    if (name.starts_with(track::system_prefix) != machine) continue;
    if (first) lines.text += fmt::format("{}\n", title);
    first = false;
    lines.item(machine ? name.substr(track::system_prefix.size()) : name,
               fmt::format("{:.6g}", value));
  }
}

std::string text_of(const track::RunRecord& run) {
  Lines lines;
  lines.field("run", run.spec.id);
  lines.field("name", run.spec.name);
  lines.field("task", run.spec.task);
  if (!run.spec.sweep.empty())
    lines.field("sweep", fmt::format("{}, trial {}", run.spec.sweep, run.spec.trial));
  lines.field("state", state_line(run));
  lines.field("created", fmt::format("{} by {} on {}", format_time(run.spec.created), run.spec.user,
                                     run.spec.host));
  if (run.started)
    lines.field("took",
                format_duration(std::chrono::duration<double>(
                    run.ended.value_or(track::is_active(run.state) ? wall_now() : run.since) -
                    *run.started)));
  if (run.attempts > 1) lines.field("attempts", std::to_string(run.attempts));
  if (run.exit_code) lines.field("exit code", std::to_string(*run.exit_code));
  lines.block("runs", run.spec.command.empty() ? "the built-in trainer" : trim(run.spec.command));
  if (run.spec.source) lines.field("source", source_line(*run.spec.source));
  for (const track::DatasetUse& use : run.spec.datasets)
    lines.field("data", fmt::format("{} {}", use.name, use.digest));
  lines.field("repeats", run.spec.reproduces);
  for (const std::string& model : run.models)
    lines.field("model", model);
  if (run.outputs)
    lines.field("outputs", fmt::format("{} ({} {}, {}{})", run.outputs->digest,
                                       format_count(run.outputs->files),
                                       run.outputs->files == 1 ? "file" : "files",
                                       format_bytes(run.outputs->bytes),
                                       run.outputs->partial ? ", partial" : ""));
  lines.field("tags", join(run.tags, ", "));
  lines.block("note", run.note);
  lines.field("folder", run.folder.root.native());
  const std::map<std::string, std::string> params = run.params();
  if (!params.empty()) lines.text += "params\n";
  for (const auto& [name, value] : params)
    lines.item(name, value);
  add_metrics(lines, run.metrics, "metrics", false);
  add_metrics(lines, run.metrics, "machine", true);
  for (const std::string& warning : run.warnings)
    lines.field("warning", warning);
  if (run.damaged != 0)
    lines.field("warning", fmt::format("{} damaged {} in its journals", run.damaged,
                                       run.damaged == 1 ? "line" : "lines"));
  return lines.text;
}

void run(Session& session) {
  const track::RunRecord record =
      track::read_run(find_run_folder(session, *session.arguments().get("RUN")));
  session.output().emit(run_json(record), TextView{text_of(record)});
}

} // namespace

extern const Command runs_show_command;
const Command runs_show_command = {
    .path = "runs show",
    .summary = "show one run: state, params, data, metrics, model",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .complete = complete_runs}},
    .examples = {{"mlp runs show latest", "the newest run"},
                 {"mlp runs show k3f9qx --json", "all that is known about a run"}},
    .run = run};

} // namespace mlp
