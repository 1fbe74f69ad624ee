// Lines of the journal, written by hand: a batch of a thousand points is one append.
#include "core/serve/mlflow_run.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/time.hpp"
#include "core/job/metrics_intake.hpp"
#include "core/serve/json_text.hpp"
#include "core/serve/mlflow_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace mlp::serve {

namespace {

constexpr std::size_t max_metrics = 1000;
constexpr std::size_t batch_bytes = 256u << 10;
constexpr std::size_t line_bytes = track::max_line_bytes / 4; // then the next point begins one
constexpr std::int64_t last_timestamp = 253'402'300'799'999;  // of the year 9999

WallTime time_of(std::int64_t timestamp) {
  if (timestamp <= 0 || timestamp > last_timestamp) return wall_now();
  return WallTime(std::chrono::milliseconds(timestamp));
}

// The journal's own words are no names of metrics.
std::string_view journal_name(std::string_view key) {
  if (key == "step") return "step_value";
  if (key == "time") return "time_value";
  return key;
}

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
    : run_(std::move(run)), spec_(std::move(spec)), secrets_(secrets), metrics_(run_.metrics()) {}

void MlflowRun::append(std::string& batch) {
  if (batch.empty()) return;
  try {
    metrics_.append_lines(batch);
  } catch (const Error& error) {
    if (lost_ == 0) first_loss_ = error.message();
    lost_ += static_cast<std::uint64_t>(std::count(batch.begin(), batch.end(), '\n'));
  }
  batch.clear();
}

// Closes the line, masks it and moves it to the batch.
void MlflowRun::write(std::string& line, std::string& batch) {
  if (line.empty()) return;
  line += '}';
  if (secrets_ == nullptr || !secrets_->occurs_in(line)) {
    batch += line;
    batch += '\n';
  } else if (const auto masked = job::masked_line(line, *secrets_)) {
    batch += *masked;
    batch += '\n';
  }
  line.clear();
  if (batch.size() >= batch_bytes) append(batch);
}

void MlflowRun::log_metrics(std::span<const MlflowPoint> points) {
  std::string batch, line, time;
  std::int64_t time_from = 0;
  std::set<std::string_view> in_line;
  const MlflowPoint* first = nullptr; // of the line
  for (const MlflowPoint& point : points) {
    const std::string_view key = journal_name(point.key);
    if (first == nullptr || first->timestamp != point.timestamp || first->step != point.step ||
        line.size() > line_bytes || !in_line.insert(key).second) {
      write(line, batch);
      if (time.empty() || time_from != point.timestamp)
        time = format_time(time_of(point.timestamp));
      time_from = point.timestamp;
      first = &point;
      in_line = {key};
      line = "{\"time\":\"";
      line += time;
      line += "\",\"step\":";
      append_json_number(line, point.step);
    }
    line += ',';
    append_json_string(line, key);
    line += ':';
    if (std::isfinite(point.value))
      append_json_number(line, point.value);
    else
      line += "null";
  }
  write(line, batch);
  append(batch);
}

void MlflowRun::log_params(const std::map<std::string, std::string>& params) {
  std::string batch, line;
  for (const auto& [name, value] : params) {
    line = fmt::format(R"({{"time":"{}","params":{{)", format_time(wall_now()));
    append_json_string(line, name);
    line += ':';
    append_json_string(line, value);
    line += '}';
    write(line, batch);
  }
  append(batch);
}

void MlflowRun::set_tags(const std::map<std::string, std::optional<std::string>>& tags) {
  std::string batch, line;
  for (const auto& [name, value] : tags) {
    line = fmt::format(R"({{"time":"{}","tags":{{)", format_time(wall_now()));
    append_json_string(line, name);
    line += ':';
    if (value)
      append_json_string(line, *value);
    else
      line += "null";
    line += '}';
    write(line, batch);
  }
  append(batch);
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

MlflowRun::History MlflowRun::history(const std::string& key, std::uint64_t from,
                                      std::size_t limit) const {
  struct Full {};
  History out{json_array(), 0};
  const std::string name(journal_name(key));
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
      if (out.metrics.size() == limit) {
        out.next = line - 1;
        throw Full{};
      }
      out.metrics.push_back(metric_json(key, *number, time_in(record), step_of(record)));
    });
  } catch (const Full&) { // the rest is the next page
  }
  return out;
}

} // namespace mlp::serve
