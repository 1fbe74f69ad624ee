// The variables that a job's program finds, so that a script for any framework starts unchanged:
// those of torchrun, torch.distributed, JAX, TensorFlow, and ours. A pure function of what is known
// about the job.
// Sources: pytorch.org/docs/stable/elastic/run.html (environment variables),
// jax.distributed.initialize, tensorflow.org/guide/distributed_training (TF_CONFIG).
#pragma once

#include "core/base/fs.hpp"
#include "core/config/project_file.hpp"
#include "core/track/run_folder.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::job {

// Where one process stands in its job.
struct Placement {
  std::vector<std::string> hosts = {"127.0.0.1"}; // one a node; the first is the coordinator
  std::int64_t processes_per_node = 1;
  std::int64_t node = 0;  // index in hosts
  std::int64_t local = 0; // process on that node
  std::uint16_t port = 0; // this and one more for each process of a host are free there
  [[nodiscard]] std::int64_t rank() const noexcept { return node * processes_per_node + local; }
  [[nodiscard]] std::int64_t world_size() const noexcept {
    return static_cast<std::int64_t>(hosts.size()) * processes_per_node;
  }
};

// The processes that mlp starts for a task on these hosts, in the order of their ranks; with
// `run_per: node` or `job` the first of those that each one stands for.
[[nodiscard]] std::vector<Placement>
place_processes(const config::Task& task, std::vector<std::string> hosts, std::uint16_t port);

// The hosts in the form that Open MPI, Horovod and DeepSpeed read: "127.0.0.1 slots=4", one line a
// host, as Open MPI wants it.
[[nodiscard]] std::string host_file(const Placement& placement);

// Variables to add to the environment that the process has. `project` is absolute.
[[nodiscard]] std::map<std::string, std::string> launch_environment(const track::RunFolder& run,
                                                                    const track::RunSpec& spec,
                                                                    const fs::path& project,
                                                                    const Placement& placement);

// "MLP_DATA_" and the name in upper case, with '_' for what a variable cannot hold.
[[nodiscard]] std::string data_variable(std::string_view dataset);

// The first of `count` TCP ports in a row that were free on this machine a moment ago; 0 if none
// could be had.
[[nodiscard]] std::uint16_t free_ports(std::int64_t count) noexcept;

} // namespace mlp::job
