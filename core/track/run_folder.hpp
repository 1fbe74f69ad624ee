// The folder of a run, `.mlp/runs/<id>/`:
//   spec.json       what was asked for (run_spec.hpp)
//   mlp.yaml        a copy of the project's, as it was when the run was made
//   events.jsonl    states and other events, each with its time
//   metrics.jsonl   what the program reported
//   stdout.log, stderr.log
//   params.json     the parameters, for the program
//   reported.jsonl  $MLP_METRICS: what the program appends; the supervisor takes it into metrics
//   progress.json   how far the built-in trainer is within an epoch; replaced, never synced
//   outs/           $MLP_OUT_DIR
//   checkpoints/    $MLP_CHECKPOINT_DIR
//   code/           of a run that repeats another: its source and data, made from that one's
//   records hosts           $MLP_HOST_FILE: the nodes of the job, for mpirun
// The folder appears whole, by a rename: a run exists with its spec and its first event, or not at
// all.
#pragma once

#include "core/base/fs.hpp"
#include "core/base/json_fwd.hpp"
#include "core/track/journal.hpp"
#include "core/track/machine.hpp"
#include "core/track/run_spec.hpp"
#include "core/track/state.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace mlp::track {

struct RunFolder {
  fs::path root;

  [[nodiscard]] fs::path spec() const { return root / "spec.json"; }
  [[nodiscard]] fs::path project_file() const { return root / "mlp.yaml"; }
  [[nodiscard]] fs::path events() const { return root / "events.jsonl"; }
  [[nodiscard]] fs::path metrics() const { return root / "metrics.jsonl"; }
  [[nodiscard]] fs::path stdout_log() const { return root / "stdout.log"; }
  [[nodiscard]] fs::path stderr_log() const { return root / "stderr.log"; }
  [[nodiscard]] fs::path params() const { return root / "params.json"; }
  [[nodiscard]] fs::path reported() const { return root / "reported.jsonl"; }
  [[nodiscard]] fs::path progress() const { return root / "progress.json"; }
  [[nodiscard]] fs::path outs() const { return root / "outs"; }
  [[nodiscard]] fs::path checkpoints() const { return root / "checkpoints"; }
  [[nodiscard]] fs::path code() const { return root / "code"; }
  [[nodiscard]] fs::path host_file() const { return root / "hosts"; }
  [[nodiscard]] fs::path supervisor_lock() const { return root / "supervisor.lock"; }
  [[nodiscard]] std::string id() const { return root.filename().native(); }
};

// Creates the run `spec.id` below `runs`, in state pending, durably. `runs` is created if need be.
// Throws Error: conflict if the id is taken, denied, failed (disk full).
// `project_file` is the text of mlp.yaml.
RunFolder create_run(const fs::path& runs, const RunSpec& spec, std::string_view project_file,
                     std::string_view reason);

// What create_run() and an import have in common: a run folder `id` below `runs` that appears
// whole, or not at all. `fill` makes its content in the hidden folder that it is given, which is
// renamed when it returns, and removed if it throws. Throws Error(conflict) if the id is taken.
RunFolder make_run_folder(const fs::path& runs, std::string_view id,
                          const std::function<void(const RunFolder& hidden)>& fill);

// Reads spec.json. Throws Error: not_found, config if it is damaged.
[[nodiscard]] RunSpec read_run_spec(const RunFolder& run);

// Removes a run: renamed out of sight first, so that a crash leaves no half of it. False if it is
// not there. The caller has made sure that it is not active.
bool remove_run(const RunFolder& run);

// Appends to the journals of one run. Not thread-safe; several processes may each have one.
class RunWriter {
 public:
  // Opens the events of a run that exists. Throws Error.
  explicit RunWriter(RunFolder run);

  // A transition; on the disk when it returns. Throws Error(conflict) if `to` may not follow the
  // state that this writer wrote last, where it has written one.
  void state(RunState to, std::string_view reason, Json details);
  void state(RunState to, std::string_view reason);
  // Any other event: {"event": name, "time": ...} and the members of `details`.
  void event(std::string_view name, Json details);
  void sync();

  [[nodiscard]] const RunFolder& folder() const noexcept { return run_; }

 private:
  RunFolder run_;
  JournalWriter events_;
  std::optional<RunState> last_;
};

} // namespace mlp::track
