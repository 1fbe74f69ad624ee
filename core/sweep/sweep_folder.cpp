// Writing a sweep down, and folding its journal into a record.
#include "core/sweep/sweep_folder.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>

namespace mlp::sweep {

namespace {

constexpr std::array<std::string_view, 6> names{"pending",  "running", "stopped",
                                                "finished", "failed",  "lost"};

std::optional<SweepState> parse_sweep_state(std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<SweepState>(found - names.begin());
}

std::string text_member(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<double> number_member(const Json& record, const char* key) {
  const auto found = record.find(key);
  if (found == record.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

// The trial that a record is about; nullptr if there is no such trial.
SweepTrial* trial_of(SweepRecord& sweep, const Json& record) {
  const auto number = record.find("trial");
  if (number == record.end() || !number->is_number_unsigned()) return nullptr;
  const auto index = number->get<std::uint64_t>();
  return index == 0 || index > sweep.trials.size() ? nullptr : &sweep.trials[index - 1];
}

// False if it is none, or not the next one.
bool take_trial(SweepRecord& sweep, const Json& record) {
  const auto number = record.find("trial");
  const auto params = record.find("params");
  SweepTrial trial;
  trial.number = sweep.trials.size() + 1;
  trial.run = text_member(record, "run");
  if (number == record.end() || !number->is_number_unsigned() ||
      number->get<std::uint64_t>() != trial.number || !is_run_id(trial.run) ||
      params == record.end() || !params->is_object() ||
      trial.number > static_cast<std::uint64_t>(config::max_sweep_trials))
    return false;
  for (const auto& [name, value] : params->items())
    if (value.is_string()) trial.params.emplace(name, value.get<std::string>());
  sweep.trials.push_back(std::move(trial));
  return true;
}

bool take_end(SweepRecord& sweep, const Json& record) {
  SweepTrial* trial = trial_of(sweep, record);
  const auto state = parse_trial_state(text_member(record, "state"));
  if (trial == nullptr || !state || *state == TrialState::running) return false;
  trial->state = *state;
  trial->value = number_member(record, "value");
  trial->step = number_member(record, "step");
  trial->reason = text_member(record, "reason");
  return true;
}

bool take_state(SweepRecord& sweep, const Json& record) {
  const auto state = parse_sweep_state(text_member(record, "state"));
  if (!state) return false;
  sweep.state = *state;
  sweep.reason = text_member(record, "reason");
  sweep.since = parse_time(text_member(record, "time")).value_or(sweep.since);
  if (*state == SweepState::running) { // a wish of before has been heard
    sweep.stop_wish.reset();
    sweep.stop_now = false;
  }
  return true;
}

bool take_event(SweepRecord& sweep, const Json& record) {
  const std::string event = text_member(record, "event");
  if (event == "state") return take_state(sweep, record);
  if (event == "trial") return take_trial(sweep, record);
  if (event == "end") return take_end(sweep, record);
  if (event == "stopping") {
    SweepTrial* trial = trial_of(sweep, record);
    if (trial != nullptr) trial->stopping = text_member(record, "reason");
    return trial != nullptr;
  }
  if (event == "stop") {
    sweep.stop_wish = text_member(record, "reason");
    const auto now = record.find("now");
    sweep.stop_now = now != record.end() && now->is_boolean() && now->get<bool>();
  } else if (event == "model") {
    sweep.model = text_member(record, "model");
  } // others are of a newer mlp
  return true;
}

SweepSpec read_spec(const SweepFolder& folder) {
  const std::string what = folder.spec().native();
  const Json json = parse_json(read_file(folder.spec(), 16u << 20), what);
  SweepSpec spec;
  spec.id = json_string(json, "id", what);
  spec.name = json_string(json, "name", what);
  spec.model = json_string(json, "model", what);
  spec.trial = track::run_spec_from_json(json_member(json, "trial", what), what);
  spec.entry = config::load_project_file(folder.project_file()).sweep(spec.name);
  return spec;
}

} // namespace

std::string_view state_name(SweepState state) noexcept {
  return names[static_cast<std::size_t>(state)];
}

const SweepTrial* SweepRecord::best() const {
  const bool less = spec.entry.searcher.mode != "max";
  const SweepTrial* found = nullptr;
  for (const SweepTrial& trial : trials) {
    if (trial.state != TrialState::finished || !trial.value) continue;
    if (found == nullptr || (less ? *trial.value < *found->value : *trial.value > *found->value))
      found = &trial;
  }
  return found;
}

SweepFolder create_sweep(const fs::path& sweeps, const SweepSpec& spec,
                         std::string_view project_file) {
  make_directories(sweeps);
  const SweepFolder made{sweeps / fmt::format(".new-{}-{}", spec.id, random_token(6))};
  const SweepFolder sweep{sweeps / spec.id};
  make_directories(made.root);
  try {
    write_file_atomic(made.spec(), dump_json_pretty(json_object({{"version", 1},
                                                                 {"id", spec.id},
                                                                 {"name", spec.name},
                                                                 {"model", spec.model},
                                                                 {"trial", to_json(spec.trial)}})));
    write_file_atomic(made.project_file(), project_file);
    SweepWriter(made).state(SweepState::pending, "made by mlp sweep run");
    sync_directory(made.root);
    if (std::rename(made.root.c_str(), sweep.root.c_str()) != 0) {
      if (errno == ENOTEMPTY || errno == EEXIST)
        throw Error(ErrorKind::conflict, fmt::format("there is already a sweep '{}'", spec.id));
      throw system_error(errno, "create", sweep.root.native());
    }
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(made.root, ignored);
    throw;
  }
  sync_directory(sweeps);
  return sweep;
}

bool is_driven(const SweepFolder& sweep) {
  if (!fs::exists(sweep.driver_lock())) return false;
  try { // a shared one, so that those who look do not see each other
    const FileLock probe(sweep.driver_lock(), "the sweep", std::chrono::milliseconds(0), true);
    return false;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::conflict) throw;
    return true;
  }
}

SweepRecord read_sweep(const SweepFolder& folder) {
  // Looked at first: a driver that ends in between has then said its last word.
  const bool driven = is_driven(folder);
  SweepRecord sweep;
  sweep.folder = folder;
  sweep.spec = read_spec(folder);
  sweep.since = sweep.spec.trial.created;
  const track::JournalEnd end = track::read_journal(folder.events(), 0, [&](const Json& record) {
    if (!take_event(sweep, record)) ++sweep.damaged;
  });
  sweep.damaged += end.damaged;
  sweep.events_end = end.offset;
  if (sweep.state == SweepState::running && !driven) {
    sweep.state = SweepState::lost;
    sweep.reason = "its process is gone: it was killed, or the machine restarted";
  }
  return sweep;
}

std::vector<std::string> sweep_ids(const fs::path& sweeps) {
  constexpr std::size_t second = sizeof("20260131-120000") - 1; // ids tell seconds, files more
  using Entry = std::pair<std::string, fs::file_time_type>;
  std::vector<Entry> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(sweeps, code)) {
    std::string id = entry.path().filename().native();
    if (!is_run_id(id)) continue;
    std::error_code gone;
    const auto time = fs::last_write_time(SweepFolder{entry.path()}.spec(), gone);
    found.emplace_back(std::move(id), gone ? fs::file_time_type::min() : time);
  }
  std::sort(found.begin(), found.end(), [&](const Entry& a, const Entry& b) {
    const int order = a.first.compare(0, second, b.first, 0, second);
    return order != 0 ? order > 0 : a.second != b.second ? a.second > b.second : a.first > b.first;
  });
  std::vector<std::string> out;
  for (Entry& entry : found)
    out.push_back(std::move(entry.first));
  return out;
}

SweepFolder find_sweep(const fs::path& sweeps, std::string_view reference) {
  const std::vector<std::string> ids = sweep_ids(sweeps);
  if (reference == "latest" && !ids.empty()) return {sweeps / ids.front()};
  std::vector<std::string> matches;
  for (const std::string& id : ids) {
    if (id == reference) return {sweeps / id};
    if (!reference.empty() && id.find(reference) != std::string::npos) matches.push_back(id);
  }
  // A name comes before a part of an id; the newest sweep of that name.
  for (const std::string& id : ids) {
    try {
      const fs::path path = SweepFolder{sweeps / id}.spec();
      const Json json = parse_json(read_file(path, 16u << 20), path.native());
      if (text_member(json, "name") == reference) return {sweeps / id};
    } catch (const Error&) { // a damaged one has no name
    }
  }
  if (matches.size() == 1) return {sweeps / matches.front()};
  if (matches.empty()) {
    Error error(ErrorKind::not_found, fmt::format("no sweep '{}'", printable(reference)));
    error.add_hint(ids.empty() ? "there is no sweep yet: start one with mlp sweep run"
                               : "see them with: mlp sweep ls");
    throw error;
  }
  const std::size_t total = matches.size();
  if (matches.size() > 8) matches.resize(8);
  throw Error(ErrorKind::usage,
              fmt::format("'{}' is part of the ids of {} sweeps", printable(reference), total))
      .with_hint(fmt::format("the newest: {}", join(matches, ", ")));
}

SweepWriter::SweepWriter(const SweepFolder& sweep) : events_(sweep.events()) {}

void SweepWriter::append(std::string_view event, Json details) {
  details["event"] = event;
  details["time"] = format_time(wall_now());
  events_.append(details);
  events_.sync();
}

void SweepWriter::state(SweepState state, std::string_view reason) {
  append("state", json_object({{"state", state_name(state)},
                               {"reason", reason},
                               {"driver", track::to_json(track::this_process())}}));
}

void SweepWriter::trial(const SweepTrial& trial) {
  Json params = json_object();
  for (const auto& [name, text] : trial.params)
    params[name] = text;
  append("trial", json_object({{"trial", trial.number}, {"run", trial.run}, {"params", params}}));
}

void SweepWriter::stopping(std::uint64_t trial, std::string_view reason) {
  append("stopping", json_object({{"trial", trial}, {"reason", reason}}));
}

void SweepWriter::ended(const SweepTrial& trial) {
  Json details = json_object({{"trial", trial.number}, {"state", trial_state_name(trial.state)}});
  if (trial.value) details["value"] = *trial.value;
  if (trial.step) details["step"] = *trial.step;
  if (!trial.reason.empty()) details["reason"] = trial.reason;
  append("end", std::move(details));
}

void SweepWriter::model(std::string_view name) {
  append("model", json_object({{"model", name}}));
}

void SweepWriter::stop(std::string_view reason, bool now) {
  append("stop", json_object({{"reason", reason}, {"now", now}}));
}

} // namespace mlp::sweep
