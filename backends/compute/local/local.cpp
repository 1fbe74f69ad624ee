// Starting supervisors, and reading what they wrote.
#include "backends/compute/local/local.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/job/host_queue.hpp"
#include "core/job/limits.hpp"
#include "core/job/log_bound.hpp"
#include "core/job/supervisor.hpp"
#include "core/track/run_record.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <thread>

namespace mlp::local {

namespace {

using track::RunFolder;
using track::RunState;

// Throws not_found unless the handle is a run of this machine.
RunFolder folder_of(const std::string& handle) {
  RunFolder run{handle};
  if (!fs::exists(run.spec()))
    throw Error(ErrorKind::not_found, fmt::format("no job '{}' on this machine", handle));
  return run;
}

// "MemTotal:  16 kB" as bytes; 0 if it is not there.
std::uint64_t memory_line(const std::string& text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + key.size(), nullptr, 10) * 1024;
}

std::vector<job::Accelerator> gpus() {
  std::map<std::string, std::int64_t> by_model;
  for (const job::HostGpu& gpu : job::host_gpus())
    ++by_model[gpu.model];
  std::vector<job::Accelerator> out;
  for (const auto& [model, count] : by_model)
    out.push_back({model, count});
  return out;
}

std::vector<std::string> command_line(const fs::path& program, const fs::path& run) {
  return {program.native(), "__supervise", run.native()};
}

} // namespace

job::Capabilities LocalBackend::capabilities() const {
  return {.several_nodes = true, // all of them here
          .logs_while_running = true,
          .queues = true,
          .enforces_resources = false};
}

std::vector<job::Node> LocalBackend::probe() {
  job::Node node;
  node.name = track::host_name();
  cpu_set_t set;
  CPU_ZERO(&set);
  node.cpus = ::sched_getaffinity(0, sizeof set, &set) == 0
                  ? CPU_COUNT(&set)
                  : static_cast<int>(std::thread::hardware_concurrency());
  const std::string memory = read_file("/proc/meminfo", 1u << 20);
  node.memory = memory_line(memory, "MemTotal:");
  node.memory_free = memory_line(memory, "MemAvailable:");
  node.accelerators = gpus();
  return {node};
}

std::string LocalBackend::render(const job::JobSpec& job) const {
  std::vector<std::string> words;
  for (const std::string& word : command_line(program_, job.run_folder))
    words.push_back(shell_quote(word));
  return fmt::format("cd {} && {}\n", shell_quote(job.project.native()), join(words, " "));
}

std::string LocalBackend::submit(const job::JobSpec& job) {
  job::check_demand(job::demand_of(job.resources, job.num_nodes), job::host_capacity());
  const RunFolder run = folder_of(job.run_folder.native());
  job::check_disk(job.resources, job.num_nodes, run.root);
  const track::RunRecord record = track::read_journals(run);
  if (record.state == RunState::pending)
    job::enqueue(run, "handed to this machine", name());
  else if (record.state != RunState::queued)
    return run.root.native();
  // Of several supervisors for one run the first takes it, and the others end.
  ProcessSpec spec;
  spec.arguments = command_line(program_, run.root);
  spec.directory = job.project;
  spec.new_session = true;
  (void)Process::spawn(spec); // it outlives us; init or our caller reaps it
  return run.root.native();
}

std::vector<job::JobStatus> LocalBackend::poll(std::span<const std::string> handles) {
  std::vector<job::JobStatus> out;
  for (const std::string& handle : handles) {
    job::JobStatus status;
    status.handle = handle;
    try {
      const track::RunRecord run = track::read_run(folder_of(handle));
      status.known = true;
      status.state = run.state;
      status.reason = run.reason;
      status.exit_code = run.exit_code;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::not_found) throw;
    }
    out.push_back(std::move(status));
  }
  return out;
}

void LocalBackend::cancel(const std::string& handle, std::string_view reason, bool now) {
  job::request_cancel(folder_of(handle), reason, now);
}

job::LogChunk LocalBackend::logs(const std::string& handle, job::LogStream stream,
                                 std::uint64_t offset, std::size_t limit) {
  const RunFolder run = folder_of(handle);
  // Looked at first: what was written before the end is then all there.
  const bool ended = !track::is_active(track::read_run(run).state);
  job::LogChunk chunk;
  chunk.next = offset;
  const fs::path path = stream == job::LogStream::out ? run.stdout_log() : run.stderr_log();
  if (!fs::exists(path)) {
    chunk.end = ended;
    return chunk;
  }
  const File file = File::open_read(path);
  job::LogPart part = job::read_log(file, offset, limit);
  chunk.left_out = part.begin - std::min(part.begin, offset);
  chunk.next = part.begin + part.text.size();
  chunk.text = std::move(part.text);
  chunk.more = part.more;
  chunk.end = ended && !part.more;
  return chunk;
}

} // namespace mlp::local
