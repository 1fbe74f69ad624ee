// The folder of a sweep, `.mlp/sweeps/<id>/`:
//   sweep.json     what was asked for (SweepSpec); written once
//   mlp.yaml       a copy of the project's: the space and the searcher stand there
//   events.jsonl   everything that was decided, in order; see SweepWriter
//   driver.lock    held by the process that drives the sweep, for as long as it lives
//   driver.log     what a detached one says
// Its trials are runs like any others, with their own folders and supervisors.
#pragma once

#include "core/base/fs.hpp"
#include "core/base/time.hpp"
#include "core/config/project_file.hpp"
#include "core/sweep/sampler.hpp"
#include "core/track/journal.hpp"
#include "core/track/run_spec.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::sweep {

struct SweepFolder {
  fs::path root;

  [[nodiscard]] fs::path spec() const { return root / "sweep.json"; }
  [[nodiscard]] fs::path project_file() const { return root / "mlp.yaml"; }
  [[nodiscard]] fs::path events() const { return root / "events.jsonl"; }
  [[nodiscard]] fs::path driver_lock() const { return root / "driver.lock"; }
  [[nodiscard]] fs::path driver_log() const { return root / "driver.log"; }
  [[nodiscard]] std::string id() const { return root.filename().native(); }
};

struct SweepSpec {
  std::string id;           // in the form of a run's
  std::string name;         // its key under `sweeps`
  std::string model;        // to register the best trial's model as; empty: none
  track::RunSpec trial;     // what all trials have in common: task, data, source, who and where
  config::SweepEntry entry; // from the copy of mlp.yaml
};

enum class SweepState : std::uint8_t {
  pending,  // written down; nothing drives it yet
  running,  // a process starts its trials and follows them
  stopped,  // by a person
  finished, // every trial has ended
  failed,   // nothing good could come of it
  lost,     // its process is gone without a last word
};
[[nodiscard]] std::string_view state_name(SweepState state) noexcept;

struct SweepTrial {
  std::uint64_t number = 0; // from 1
  std::string run;
  std::map<std::string, std::string> params; // as --param takes them
  TrialState state = TrialState::running;
  std::optional<double> value;         // the last of the objective
  std::optional<double> step;          // of that value
  std::string reason;                  // why it failed or was stopped
  std::optional<std::string> stopping; // it was decided to stop it, and why
};

struct SweepRecord {
  SweepFolder folder;
  SweepSpec spec;
  SweepState state = SweepState::pending;
  std::string reason;
  WallTime since{}; // of the state
  std::vector<SweepTrial> trials;
  std::string model;                    // "digits@3", registered from the best
  std::optional<std::string> stop_wish; // since it was last started
  bool stop_now = false;                // of the wish
  std::size_t damaged = 0;              // lines of the journal that could not be read
  std::uint64_t events_end = 0;

  // The finished trial with the best value; of equal ones the first. nullptr if there is none.
  [[nodiscard]] const SweepTrial* best() const;
};

// Creates the sweep `spec.id` below `sweeps`, durably and all at once. Throws Error: conflict,
// denied, failed.
SweepFolder create_sweep(const fs::path& sweeps, const SweepSpec& spec,
                         std::string_view project_file);

// What the journal says, and `lost` if nobody drives a sweep that should be running. Throws Error:
// not_found, config for a damaged sweep.json or mlp.yaml.
[[nodiscard]] SweepRecord read_sweep(const SweepFolder& sweep);
// True if a process drives it now.
[[nodiscard]] bool is_driven(const SweepFolder& sweep);

// Ids of all sweeps, newest first; none if there is no such folder.
[[nodiscard]] std::vector<std::string> sweep_ids(const fs::path& sweeps);
// The one sweep that "latest", its name in mlp.yaml (the newest of them), or any part of its id
// means. Throws Error: not_found, usage.
[[nodiscard]] SweepFolder find_sweep(const fs::path& sweeps, std::string_view reference);

// Appends to a sweep's journal. Every record is on the disk when its call returns. Not thread-safe.
class SweepWriter {
 public:
  explicit SweepWriter(const SweepFolder& sweep);

  void state(SweepState state, std::string_view reason);
  // A trial is decided on; its run comes after this record.
  void trial(const SweepTrial& trial);
  // It is to be stopped early; the wish goes to its run after this record.
  void stopping(std::uint64_t trial, std::string_view reason);
  void ended(const SweepTrial& trial);
  void model(std::string_view name);
  // The wish to stop the sweep; with `now` its trials are killed.
  void stop(std::string_view reason, bool now);

 private:
  void append(std::string_view event, Json details);
  track::JournalWriter events_;
};

} // namespace mlp::sweep
