// Folding journals into a RunRecord.
#include "core/track/run_record.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/track/annotations.hpp"
#include "core/track/logged.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::track {

namespace {

constexpr std::size_t max_states = 1000;
constexpr std::size_t max_warnings = 100;
constexpr std::size_t max_process_name = 64;
constexpr std::size_t max_metrics = 1000;
// How long a supervisor may take to say its first word after its submitter has ended.
constexpr std::chrono::seconds start_allowance{10};

std::string text_member(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<ProcessIdentity> process_member(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found == record.end() ? std::nullopt : process_from_json(*found);
}

int restarts_member(const Json& record) {
  const auto found = record.find("restarts");
  return found != record.end() && found->is_number_unsigned() ? found->get<int>() : 0;
}

template <class T>
void append_bounded(std::vector<T>& list, T value, std::size_t limit) {
  if (list.size() == limit) list.erase(list.begin());
  list.push_back(std::move(value));
}

void take_state(RunRecord& run, const Json& record, WallTime time) {
  const auto state = parse_state(text_member(record, "state"));
  if (!state) { // of a newer mlp
    ++run.damaged;
    return;
  }
  run.state = *state;
  run.reason = text_member(record, "reason");
  run.since = time;
  append_bounded(run.states, {*state, time, run.reason}, max_states);
  switch (*state) {
  case RunState::pending:
    run.submitter = process_member(record, "submitter");
    break;
  case RunState::queued: // a new attempt forgets how the one before ended
    if (const auto supervisor = process_member(record, "supervisor")) { // the same still waits
      run.supervisor = supervisor;
      break;
    }
    run.started.reset();
    run.ended.reset();
    run.exit_code.reset();
    run.failed_process.clear();
    run.supervisor.reset();
    run.program.reset();
    run.cancel_reason.reset();
    run.restarts = restarts_member(record);
    if (const auto submitter = process_member(record, "submitter")) run.submitter = submitter;
    break;
  case RunState::starting:
    ++run.attempts;
    run.started.reset();
    run.program.reset();
    run.restarts = restarts_member(record);
    run.supervisor = process_member(record, "supervisor");
    break;
  case RunState::running:
    run.started = time;
    run.program = process_member(record, "program");
    break;
  default:
    run.ended = time;
    if (const auto code = record.find("exit_code");
        code != record.end() && code->is_number_integer())
      run.exit_code = code->get<int>();
    run.failed_process = text_member(record, "process").substr(0, max_process_name);
  }
}

std::uint64_t count_member(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

void take_event(RunRecord& run, const Json& record) {
  const WallTime time = parse_time(text_member(record, "time")).value_or(run.since);
  const std::string event = text_member(record, "event");
  if (event == "state") {
    take_state(run, record, time);
  } else if (event == "cancel") {
    run.cancel_reason = text_member(record, "reason");
  } else if (event == "outputs") {
    run.outputs =
        RunOutputs{text_member(record, "digest"), count_member(record, "files"),
                   count_member(record, "bytes"), record.value("partial", Json()) == Json(true)};
  } else if (event == "model") {
    append_bounded(run.models, text_member(record, "model"), max_warnings);
  } else if (event == "tag") {
    take_tags(run.given_tags, record);
    take_untagged(run.untagged, record);
  } else if (event == "note") {
    run.note = text_member(record, "text").substr(0, max_note_bytes);
  } else if (event == "warning") {
    append_bounded(run.warnings, text_member(record, "message"), max_warnings);
  } // others are of no concern here, or of a newer mlp
}

void take_metrics(RunRecord& run, const Json& record) {
  if (!take_logged(run.logged, record)) ++run.points;
  for (const auto& [name, value] : record.items()) {
    if (!is_metric(name, value)) continue;
    if (run.metrics.size() >= max_metrics && !run.metrics.contains(name)) continue;
    run.metrics[name] = value.get<double>();
  }
}

} // namespace

std::map<std::string, std::string> RunRecord::params() const {
  std::map<std::string, std::string> all = logged_params;
  all.insert(spec.params.begin(), spec.params.end());
  return all;
}

RunRecord read_journals(const RunFolder& folder) {
  RunRecord run;
  run.folder = folder;
  run.spec = read_run_spec(folder);
  run.since = run.spec.created;
  (void)read_on(run);
  return run;
}

bool read_on(RunRecord& run, std::uint64_t most,
             const std::function<void(const Json& point)>& each_point) {
  const auto take_point = [&](const Json& point) {
    take_metrics(run, point);
    if (each_point) each_point(point);
  };
  const JournalEnd events = read_journal(
      run.folder.events(), run.events_end, [&](const Json& event) { take_event(run, event); },
      most);
  const JournalEnd metrics = read_journal(run.folder.metrics(), run.metrics_end, take_point, most);
  for (const auto& [name, value] : run.logged.params)
    run.logged_params.insert_or_assign(name, plain_param(value));
  run.tags = run.given_tags;
  add_tags(run.tags, run.logged.tags, run.untagged);
  run.damaged += events.damaged + metrics.damaged;
  run.events_end = events.offset;
  run.metrics_end = metrics.offset;
  return events.more || metrics.more;
}

std::optional<double> step_of(const Json& point) {
  for (const char* key : {"step", "epoch"})
    if (const auto step = point.find(key); step != point.end() && step->is_number())
      return step->get<double>();
  return std::nullopt;
}

bool is_metric(std::string_view name, const Json& value) {
  return value.is_number() && name != "step" && name != "time";
}

std::vector<std::string> read_output_digests(const RunFolder& run) {
  std::vector<std::string> out;
  (void)read_journal(run.events(), 0, [&](const Json& record) {
    if (text_member(record, "event") == "outputs") out.push_back(text_member(record, "digest"));
  });
  return out;
}

void settle(RunRecord& run, WallTime now) {
  if (!is_active(run.state)) return;
  const auto lose = [&](std::string reason) {
    run.state = RunState::lost;
    run.reason = std::move(reason);
  };
  if (!run.supervisor) {
    if (now - run.since < start_allowance || !run.submitter) return;
    const Liveness submitter = liveness(*run.submitter);
    if (submitter == Liveness::dead) lose("it was never started: the command that made it ended");
    if (submitter == Liveness::restarted) lose("the machine restarted before it was started");
    return;
  }
  switch (liveness(*run.supervisor)) {
  case Liveness::alive:
  case Liveness::unknown:
    return;
  case Liveness::restarted:
    return lose("the machine restarted");
  case Liveness::dead:
    return lose(fmt::format("its supervisor (process {}) is gone: it was killed or it crashed",
                            run.supervisor->pid));
  }
}

RunRecord read_run(const RunFolder& folder) {
  RunRecord run = read_journals(folder);
  if (!is_active(run.state)) return run;
  settle(run, wall_now());
  // A supervisor may have written its last word and ended between our reading and our look.
  if (run.state == RunState::lost) {
    run = read_journals(folder);
    settle(run, wall_now());
  }
  return run;
}

std::vector<MetricPoint> read_metric(const RunFolder& run, std::string_view name,
                                     std::size_t limit) {
  std::vector<MetricPoint> points;
  read_journal(run.metrics(), 0, [&](const Json& record) {
    const auto value = record.find(name);
    if (value == record.end() || !value->is_number()) return;
    MetricPoint point;
    point.value = value->get<double>();
    point.step = step_of(record);
    if (points.size() >= 2 * limit)
      points.erase(points.begin(), points.end() - static_cast<std::ptrdiff_t>(limit));
    points.push_back(point);
  });
  if (points.size() > limit)
    points.erase(points.begin(), points.end() - static_cast<std::ptrdiff_t>(limit));
  return points;
}

} // namespace mlp::track
