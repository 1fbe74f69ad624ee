// Everything a reader knows about a run, from its journals: they are the truth, and reading them
// needs no lock and changes nothing.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/base/time.hpp"
#include "core/track/logged.hpp"
#include "core/track/machine.hpp"
#include "core/track/run_folder.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::track {

// A transition as it stands in the journal.
struct StateChange {
  RunState state = RunState::pending;
  WallTime time{};
  std::string reason;
};

// What the program left in outs/, as it was taken into the object store.
struct RunOutputs {
  std::string digest; // "sha256:..." of its manifest
  std::uint64_t files = 0, bytes = 0;
  bool partial = false; // the run did not succeed
};

struct RunRecord {
  RunFolder folder;
  RunSpec spec;

  RunState state = RunState::pending;
  std::string reason;              // of the state
  WallTime since{};                // of the state
  std::vector<StateChange> states; // the last 1,000
  int attempts = 0;                // times that it went to starting
  int restarts = 0;                // of these, those that job_recovery made of the last submission
  std::optional<WallTime> started; // of the last attempt
  std::optional<WallTime> ended;
  std::optional<int> exit_code; // of the program: 128 + signal if a signal ended it
  std::string failed_process; // of several: "rank 3", the one that failed first; see line_prefix()
  std::optional<ProcessIdentity> submitter, supervisor, program; // of the last attempt
  std::optional<std::string> cancel_reason; // somebody asked this attempt to stop
  std::optional<RunOutputs> outputs;        // of the last attempt that left any
  std::vector<std::string> models;          // registered from it: "digits@3"
  std::vector<std::string> tags;            // sorted; see annotations.hpp and logged.hpp
  std::string note;                         // a person's; may have several lines
  std::vector<std::string> warnings;        // of the supervisor; the last 100

  std::map<std::string, double> metrics; // the last value of each; at most 1,000 names
  std::uint64_t points = 0;              // lines of metrics that are not params or tags
  std::size_t damaged = 0;               // lines of events or metrics that could not be read

  std::map<std::string, std::string> logged_params; // of the program itself; JSON text; logged.hpp
  // What was asked for, with what the program logged laid over.
  [[nodiscard]] std::map<std::string, std::string> params() const;

  // What tags and logged_params are made of: words of people, and words of the program.
  std::vector<std::string> given_tags;
  std::set<std::string> untagged;
  Logged logged;

  // Where reading ended, to see later whether there is more.
  std::uint64_t events_end = 0, metrics_end = 0;
};

// Reads a run and, if its journal says that it is active, looks whether its supervisor still is
// (see settle). Throws Error: not_found, config if spec.json is damaged, denied.
[[nodiscard]] RunRecord read_run(const RunFolder& run);

// Without the look at processes: what the journals say.
[[nodiscard]] RunRecord read_journals(const RunFolder& run);

// Reads on from where reading ended: what was appended since. `each_point`, where there is one,
// gets every line of metrics. Stops when about `most` bytes of a journal have been read; true if
// there may be more. Memory for one line. Throws Error(denied, failed).
bool read_on(RunRecord& record, std::uint64_t most = all_bytes,
             const std::function<void(const Json& point)>& each_point = nullptr);

// Turns an active record into `lost` if its supervisor is gone, with the reason: it was killed, or
// the machine restarted; or if it never began although its submitter ended. A supervisor on another
// host is taken to be alive. Writes nothing.
void settle(RunRecord& record, WallTime now);

// The digests of everything that was taken into the object store as the run's outputs, without
// reading its metrics. Throws Error.
[[nodiscard]] std::vector<std::string> read_output_digests(const RunFolder& run);

// The value of one metric over time, in the order reported.
struct MetricPoint {
  std::optional<double> step;
  double value = 0.0;
};
// "step" of a line of metrics, or else "epoch"; nullopt if it has neither.
[[nodiscard]] std::optional<double> step_of(const Json& point);
// Whether a member of such a line is a metric, not the place or time of one.
[[nodiscard]] bool is_metric(std::string_view name, const Json& value);

// All points of `name`, at most `limit` of the last ones. Throws Error(denied, failed).
[[nodiscard]] std::vector<MetricPoint> read_metric(const RunFolder& run, std::string_view name,
                                                   std::size_t limit = 1u << 20);

} // namespace mlp::track
