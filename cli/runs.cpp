// Runs as JSON, and small helpers around them.
#include "cli/runs.hpp"

#include "cli/completers.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/job/program_output.hpp"
#include "core/track/logged.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

track::IndexPaths index_paths(const config::Project& project) {
  return {project.runs(), project.index(), project.locks() / "index.lock"};
}

track::RunFolder find_run_folder(Session& session, std::string_view reference) {
  const fs::path runs = session.project().runs();
  return {runs / track::find_run(runs, reference)};
}

namespace {

Json time_json(const std::optional<WallTime>& time) {
  return time ? Json(format_time(*time)) : Json(nullptr);
}

Json seconds_json(const std::optional<WallTime>& from, const std::optional<WallTime>& to) {
  if (!from) return nullptr;
  const auto end = to.value_or(wall_now());
  return std::chrono::duration<double>(end - *from).count();
}

Json params_json(const std::map<std::string, std::string>& params) {
  Json out = json_object();
  for (const auto& [name, value] : params)
    out[name] = parse_json(value, name);
  return out;
}

void add_headline(Json& out, const std::map<std::string, double>& metrics) {
  if (const auto* best = headline_metric(metrics))
    out["headline"] = fmt::format("{} {:.4g}", best->first, best->second);
}

} // namespace

Json run_json(const track::RunRecord& run) {
  Json out = track::to_json(run.spec);
  out.erase("version"); // of spec.json
  out["run"] = run.spec.id;
  out["params"] = params_json(run.params());
  if (!run.spec.command.empty()) out["command"] = run.spec.command;
  out["state"] = track::state_name(run.state);
  out["reason"] = run.reason;
  out["attempts"] = run.attempts;
  out["started"] = time_json(run.started);
  out["ended"] = time_json(run.ended);
  out["seconds"] = seconds_json(run.started, run.ended ? run.ended : std::nullopt);
  out["exit_code"] = run.exit_code ? Json(*run.exit_code) : Json(nullptr);
  out["metrics"] = run.metrics;
  out["models"] = run.models;
  if (run.outputs)
    out["outputs"] = json_object({{"digest", run.outputs->digest},
                                  {"files", run.outputs->files},
                                  {"bytes", run.outputs->bytes},
                                  {"partial", run.outputs->partial}});
  out["tags"] = run.tags;
  if (!run.note.empty()) out["note"] = run.note;
  out["warnings"] = run.warnings;
  out["folder"] = run.folder.root.native();
  Json states = json_array();
  for (const track::StateChange& change : run.states)
    states.push_back(json_object({{"state", track::state_name(change.state)},
                                  {"time", format_time(change.time)},
                                  {"reason", change.reason}}));
  out["states"] = std::move(states);
  add_headline(out, run.metrics);
  return out;
}

Json run_row_json(const track::RunRow& row) {
  Json out = json_object(
      {{"run", row.id},
       {"task", row.task},
       {"name", row.name},
       {"state", row.problem.empty() ? Json(track::state_name(row.state)) : Json("damaged")},
       {"reason", row.problem.empty() ? row.reason : row.problem},
       {"created", format_time(row.created)},
       {"started", time_json(row.started)},
       {"ended", time_json(row.ended)},
       {"seconds", seconds_json(row.started, row.ended)},
       {"attempts", row.attempts},
       {"exit_code", row.exit_code ? Json(*row.exit_code) : Json(nullptr)},
       {"user", row.user},
       {"host", row.host},
       {"commit", row.commit},
       {"models", row.models},
       {"tags", row.tags},
       {"params", params_json(row.params)},
       {"metrics", Json(row.metrics)}});
  if (!row.note.empty()) out["note"] = row.note;
  if (!row.models.empty()) out["model"] = row.models.back();
  // A lost run has no end that anyone saw.
  if (row.state == track::RunState::lost && !row.ended) out["seconds"] = nullptr;
  add_headline(out, row.metrics);
  return out;
}

const std::pair<const std::string, double>*
headline_metric(const std::map<std::string, double>& metrics) {
  static constexpr std::string_view sets[] = {"test_", "val_", ""};
  static constexpr std::string_view values[] = {"accuracy", "acc", "r2", "f1", "auc", "loss"};
  for (const std::string_view set : sets)
    for (const std::string_view value : values) {
      const auto found = metrics.find(std::string(set) + std::string(value));
      if (found != metrics.end()) return &*found;
    }
  const auto own = std::find_if(metrics.begin(), metrics.end(), [](const auto& metric) {
    return !metric.first.starts_with(track::system_prefix);
  });
  return own == metrics.end() ? nullptr : &*own;
}

std::string first_line(std::string_view text, std::size_t columns) {
  const std::string line = printable(text.substr(0, text.find('\n')));
  if (line.size() == text.size() && display_width(line) <= columns) return line;
  return std::string(fit_width(line, columns - 3)) + "...";
}

std::vector<std::string> last_lines(const fs::path& path, std::size_t lines,
                                    const std::string& process) {
  const std::string prefix = process.empty() ? std::string() : job::line_prefix(process);
  const std::uint64_t window = prefix.empty() ? 16u << 10 : 1u << 20; // others write there too
  std::string text;
  try {
    const File file = File::open_read(path);
    const std::uint64_t size = file.size();
    text.resize(std::min(size, window));
    text.resize(file.read_at(std::as_writable_bytes(std::span(text.data(), text.size())),
                             size - text.size()));
  } catch (const Error&) {
    return {};
  }
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  if (text.empty()) return {};
  std::vector<std::string> all = split(text, '\n');
  std::erase_if(all, [&](const std::string& line) { return !line.starts_with(prefix); });
  if (all.size() > lines) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(lines));
  for (std::string& line : all)
    line = shown_line(line.substr(prefix.size()));
  return all;
}

std::vector<Candidate> complete_runs(Session& session) {
  const fs::path runs = session.project().runs();
  std::vector<Candidate> out;
  constexpr std::size_t shown = 50;
  for (const std::string& id : track::run_ids(runs)) {
    if (out.size() == shown) break;
    try {
      const track::RunRecord run = track::read_run({runs / id});
      out.push_back({id, fmt::format("{}, {}", run.spec.task, track::state_name(run.state))});
    } catch (const Error&) {
      out.push_back({id, "damaged"});
    }
  }
  return out;
}

std::vector<Candidate> complete_tasks(Session& session) {
  std::vector<Candidate> out;
  for (const auto& entry : session.project_file().tasks)
    out.push_back({entry.name, entry.value.description});
  return out;
}

std::vector<Candidate> complete_run_fields(Session& session) {
  std::vector<Candidate> out;
  for (const char* name : {"created", "duration", "started", "ended", "state", "task", "name"})
    out.push_back({name, ""});
  track::RunIndex index(index_paths(session.project()));
  using Kind = track::RunField::Kind;
  for (const Kind kind : {Kind::params, Kind::metrics})
    for (const std::string& name : index.names(kind, 50))
      out.push_back({track::run_field_text({kind, name}), ""});
  return out;
}

std::vector<Candidate> complete_run_states(Session&) {
  std::vector<Candidate> out;
  for (const track::RunState state : track::all_states())
    out.push_back({std::string(track::state_name(state)), ""});
  return out;
}

} // namespace mlp
