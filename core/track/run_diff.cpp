// Two runs flattened to names and JSON texts, group by group, and compared as sorted maps.
#include "core/track/run_diff.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/track/logged.hpp"

#include <map>
#include <set>

namespace mlp::track {

namespace {

using Values = std::map<std::string, std::string>; // JSON text

void put(Values& values, const char* name, const std::string& text) {
  if (!text.empty()) values.emplace(name, dump_json(Json(text)));
}

Values spec_of(const RunRecord& run) {
  const RunSpec& spec = run.spec;
  Values out;
  put(out, "task", spec.task);
  put(out, "run", spec.command);
  put(out, "model", spec.model);
  put(out, "mlp_version", spec.mlp_version);
  put(out, "host", spec.host);
  put(out, "user", spec.user);
  if (!spec.resources.empty()) out.emplace("resources", spec.resources);
  if (!spec.outs.empty()) out.emplace("outs", dump_json(Json(spec.outs)));
  if (!spec.environment.empty()) out.emplace("environment", dump_json(Json(spec.environment)));
  out.emplace("num_nodes", std::to_string(spec.num_nodes));
  out.emplace("grace_seconds", dump_json(Json(spec.grace_seconds)));
  try {
    const auto project_file = read_file_if_exists(run.folder.project_file(), 16u << 20);
    if (project_file) put(out, "mlp.yaml", sha256(*project_file).text());
  } catch (const Error&) { // as if it were not there
  }
  return out;
}

Values code_of(const RunRecord& run) {
  Values out;
  if (!run.spec.source) return out;
  put(out, "commit", run.spec.source->commit);
  put(out, "branch", run.spec.source->branch);
  if (run.spec.source->dirty)
    out.emplace("uncommitted changes", *run.spec.source->dirty ? "true" : "false");
  put(out, "snapshot", run.spec.source->snapshot);
  if (!run.spec.source->removed.empty())
    out.emplace("removed", dump_json(Json(run.spec.source->removed)));
  return out;
}

Values data_of(const RunRecord& run) {
  Values out;
  for (const DatasetUse& use : run.spec.datasets)
    put(out, use.name.c_str(), use.digest);
  return out;
}

Values metrics_of(const RunRecord& run) {
  Values out;
  for (const auto& [name, value] : run.metrics)
    if (!name.starts_with(system_prefix)) out.emplace(name, dump_json(Json(value)));
  return out;
}

Values result_of(const RunRecord& run) {
  Values out;
  put(out, "state", std::string(state_name(run.state)));
  if (run.outputs) put(out, "outputs", run.outputs->digest);
  if (run.exit_code) out.emplace("exit_code", std::to_string(*run.exit_code));
  return out;
}

void compare(std::vector<RunDifference>& out, const char* group, const Values& a, const Values& b) {
  std::set<std::string> names;
  for (const Values* values : {&a, &b})
    for (const auto& [name, value] : *values)
      names.insert(name);
  const auto value_in = [](const Values& values, const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
  for (const std::string& name : names) {
    RunDifference difference{group, name, value_in(a, name), value_in(b, name)};
    if (difference.a != difference.b) out.push_back(std::move(difference));
  }
}

} // namespace

std::vector<RunDifference> diff_runs(const RunRecord& a, const RunRecord& b) {
  std::vector<RunDifference> out;
  compare(out, "spec", spec_of(a), spec_of(b));
  compare(out, "code", code_of(a), code_of(b));
  compare(out, "data", data_of(a), data_of(b));
  compare(out, "params", a.params(), b.params());
  compare(out, "metrics", metrics_of(a), metrics_of(b));
  compare(out, "result", result_of(a), result_of(b));
  return out;
}

std::vector<std::string> differing_params(const std::vector<RunRecord>& runs) {
  std::set<std::string> names;
  std::vector<Values> params;
  for (const RunRecord& run : runs) {
    params.push_back(run.params());
    for (const auto& [name, value] : params.back())
      names.insert(name);
  }
  std::vector<std::string> out;
  for (const std::string& name : names) {
    std::set<std::string> values; // "" stands for none: JSON text is never empty
    for (const Values& own : params) {
      const auto found = own.find(name);
      values.insert(found == own.end() ? std::string() : found->second);
    }
    if (values.size() > 1 || runs.size() == 1) out.push_back(name);
  }
  return out;
}

} // namespace mlp::track
