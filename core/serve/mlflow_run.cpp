// The journal, read as it grows; what was logged by other ways is there too.
#include "core/serve/mlflow_run.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/time.hpp"
#include "core/serve/json_text.hpp"
#include "core/serve/mlflow_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mlp::serve {

namespace {

constexpr std::size_t max_metrics = 1000;

// The number of a JSON value as a journal has it; null stands for a number that JSON has not.
std::optional<double> number_of(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_null()) return std::nan("");
  return std::nullopt;
}

std::int64_t step_of(const Json& record) {
  const auto found = record.find("step");
  if (found == record.end() || !found->is_number()) return 0;
  const double step = found->get<double>();
  return std::abs(step) <= 9.0e18 ? static_cast<std::int64_t>(step) : 0;
}

std::int64_t timestamp_of(const std::string& time) {
  const auto parsed = parse_time(time);
  return parsed ? parsed->time_since_epoch().count() : 0;
}

std::string time_in(const Json& record) {
  const auto found = record.find("time");
  return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Json metric_json(const std::string& key, double value, const std::string& time, std::int64_t step) {
  Json out = json_object({{"key", key}, {"timestamp", timestamp_of(time)}, {"step", step}});
  if (std::isnan(value))
    out["value"] = "NaN";
  else
    out["value"] = value;
  return out;
}

// A param as MLflow has them: text.
std::string text_of(const std::string& json) {
  const Json value = parse_json(json, "param");
  return value.is_string() ? value.get<std::string>() : json;
}

} // namespace

MlflowRun::MlflowRun(track::RunFolder run, track::RunSpec spec, const secret::MaskedValues* secrets)
    : run_(std::move(run)), spec_(std::move(spec)), lines_(run_.metrics(), secrets) {}

void MlflowRun::log_metrics(std::span<const job::MetricPoint> points) {
  for (const job::MetricPoint& point : points)
    lines_.add(point);
  lines_.flush();
}

// {"time":...,"<group>":{"<name>":<value>}}
template <class Write>
void MlflowRun::write(const char* group, const std::string& name, const Write& value) {
  std::string line = fmt::format(R"({{"time":"{}","{}":{{)", format_time(wall_now()), group);
  append_json_string(line, name);
  line += ':';
  value(line);
  line += "}}";
  lines_.add_line(line);
}

void MlflowRun::log_params(const std::map<std::string, std::string>& params) {
  for (const auto& [name, value] : params)
    write("params", name, [&text = value](std::string& line) { append_json_string(line, text); });
  lines_.flush();
}

void MlflowRun::set_tags(const std::map<std::string, std::optional<std::string>>& tags) {
  for (const auto& [name, value] : tags)
    write("tags", name, [&text = value](std::string& line) {
      if (text)
        append_json_string(line, *text);
      else
        line += "null";
    });
  lines_.flush();
}

void MlflowRun::set_status(std::string status, std::optional<std::int64_t> end_time) {
  status_ = std::move(status);
  end_time_ = status_ == "RUNNING" ? std::nullopt : end_time;
}

void MlflowRun::take(const Json& record) {
  track::take_logged(logged_, record);
  const std::string time = time_in(record);
  for (const auto& [name, value] : record.items()) {
    const auto number = name == "step" || name == "time" ? std::nullopt : number_of(value);
    if (!number || (last_.size() >= max_metrics && !last_.contains(name))) continue;
    last_.insert_or_assign(name, Last{*number, time, step_of(record)});
  }
}

void MlflowRun::refresh() {
  const auto end =
      track::read_journal(run_.metrics(), read_to_, [&](const Json& record) { take(record); });
  read_to_ = end.offset;
}

bool MlflowRun::has_tag(const std::string& name) {
  refresh();
  return logged_.tags.contains(name);
}

Json MlflowRun::info() {
  refresh();
  const auto name = logged_.tags.find("mlflow.runName");
  Json out = json_object(
      {{"run_id", spec_.id},
       {"run_uuid", spec_.id},
       {"run_name", name != logged_.tags.end() ? name->second
                    : spec_.name.empty()       ? spec_.id
                                               : spec_.name},
       {"experiment_id", mlflow_experiment_id},
       {"user_id", spec_.user},
       {"status", status_},
       {"start_time", static_cast<std::int64_t>(spec_.created.time_since_epoch().count())},
       // A folder of this machine, as a client in the run can write to it: files of any size.
       {"artifact_uri", run_.outs().native()},
       {"lifecycle_stage", "active"}});
  if (end_time_) out["end_time"] = *end_time_;
  return out;
}

Json MlflowRun::run() {
  Json out = json_object({{"info", info()}, {"inputs", json_object()}});
  Json metrics = json_array(), params = json_array(), tags = json_array();
  for (const auto& [key, last] : last_)
    metrics.push_back(metric_json(key, last.value, last.time, last.step));
  std::map<std::string, std::string> all = spec_.params;
  for (const auto& [name, value] : logged_.params)
    all.insert_or_assign(name, value);
  for (const auto& [name, value] : all)
    params.push_back(json_object({{"key", name}, {"value", text_of(value)}}));
  for (const auto& [name, value] : logged_.tags)
    tags.push_back(json_object({{"key", name}, {"value", value}}));
  out["data"] = json_object(
      {{"metrics", std::move(metrics)}, {"params", std::move(params)}, {"tags", std::move(tags)}});
  return out;
}

Json MlflowRun::history(const std::string& key, std::uint64_t from, std::size_t limit) const {
  struct Full {};
  Json metrics = json_array();
  std::uint64_t next = 0;
  const std::string name(job::journal_name(key));
  std::uint64_t line = 0; // pages are counted in lines: they are only appended
  try {
    track::read_lines(run_.metrics(), 0, [&](std::string_view text) {
      if (line++ < from) return;
      // Parsed only where the key can be.
      if (text.find(name) == std::string_view::npos &&
          name.find_first_of("\"\\/") == std::string::npos)
        return;
      Json record;
      try {
        record = parse_json(text, "metrics", {track::max_line_bytes, 16});
      } catch (const Error&) {
        return;
      }
      const auto found = record.is_object() ? record.find(name) : record.end();
      if (found == record.end()) return;
      const auto number = number_of(*found);
      if (!number) return;
      if (metrics.size() == limit) {
        next = line - 1;
        throw Full{};
      }
      metrics.push_back(metric_json(key, *number, time_in(record), step_of(record)));
    });
  } catch (const Full&) { // the rest is the next page
  }
  Json out = json_object({{"metrics", std::move(metrics)}});
  if (next != 0) out["next_page_token"] = std::to_string(next);
  return out;
}

} // namespace mlp::serve
