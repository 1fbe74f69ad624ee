// The interface to a place that runs jobs: this machine, a host behind SSH, a Slurm or HTCondor or
// Kubernetes cluster. One implementation a folder in backends/compute; tests/conformance/
// compute_test.cpp holds every one of them to the words below.
//
// A job is a run that has been written down (core/track/run_folder.hpp). The place runs
// `mlp __supervise RUN_FOLDER` (supervisor.hpp), which does everything else and keeps the journals;
// a backend only starts it, finds it, stops it, and brings its words here.
//
// Threads: one thread at a time a backend. Blocking: every method may block on the place, none
// without a bound of its own. Errors (mlp::Error): unreachable (the place does not answer),
// denied, not_found (no such job), config (the job asks for what the place cannot give), failed.
#pragma once

#include "core/base/fs.hpp"
#include "core/config/project_file.hpp"
#include "core/track/state.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::job {

struct JobSpec {
  std::string run_id;
  fs::path run_folder; // absolute, on this machine
  fs::path project;    // absolute, on this machine
  config::Resources resources;
  std::int64_t num_nodes = 1;
};

// What a place is able to do; callers ask before they offer it.
struct Capabilities {
  bool several_nodes = false;      // num_nodes > 1
  bool logs_while_running = false; // logs() before the end
  bool queues = false;             // a job that does not fit now waits there
  bool enforces_resources = false; // else `resources` are advice
};

struct Accelerator {
  std::string name; // "NVIDIA H100 80GB HBM3"
  std::int64_t count = 0;
};

struct Node {
  std::string name;
  std::int64_t cpus = 0;
  std::uint64_t memory = 0;      // bytes
  std::uint64_t memory_free = 0; // bytes, now
  std::vector<Accelerator> accelerators;
};

struct JobStatus {
  std::string handle;
  bool known = false; // false: the place has no such job (any more)
  track::RunState state = track::RunState::lost;
  std::string reason;
  std::optional<int> exit_code; // of the program, once it has ended
};

enum class LogStream { out, err };

struct LogChunk {
  std::string text;
  std::uint64_t next = 0;     // offset to ask for next
  std::uint64_t left_out = 0; // bytes before `text` that are not kept
  bool more = false;          // there is more now
  bool end = false;           // the job has ended and this was the last
};

class Backend {
 public:
  virtual ~Backend() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0; // "local"
  [[nodiscard]] virtual Capabilities capabilities() const = 0;
  // What is there now.
  [[nodiscard]] virtual std::vector<Node> probe() = 0;

  // What submit() would hand over, as text: a command line, a job script, a manifest. Pure: asks
  // nobody, changes nothing.
  [[nodiscard]] virtual std::string render(const JobSpec& job) const = 0;

  // Hands the job over and returns the handle by which this place knows it; the run is then queued
  // or further. Idempotent: a run that the place already has is not started twice, also by two
  // callers at once. Throws config for a job that can never run here, before anything is changed.
  virtual std::string submit(const JobSpec& job) = 0;

  // One status a handle, in the same order; a handle that nobody knows is `known == false`. One
  // round trip for all of them where the place can do that.
  [[nodiscard]] virtual std::vector<JobStatus> poll(std::span<const std::string> handles) = 0;

  // Asks the job to stop: SIGTERM, the grace period, SIGKILL; with `now`, SIGKILL at once. Returns
  // before it has stopped. Idempotent; harmless for a job that has ended. Throws not_found.
  virtual void cancel(const std::string& handle, std::string_view reason, bool now) = 0;

  // What the job has written to a stream from `offset` on, at most `limit` bytes. Throws not_found.
  [[nodiscard]] virtual LogChunk logs(const std::string& handle, LogStream stream,
                                      std::uint64_t offset, std::size_t limit) = 0;
};

} // namespace mlp::job
