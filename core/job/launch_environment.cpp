// The variables, in the groups of the frameworks that read them.
#include "core/job/launch_environment.hpp"

#include "core/base/json.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

namespace mlp::job {

std::string data_variable(std::string_view dataset) {
  std::string name = "MLP_DATA_";
  for (const char c : dataset) {
    const auto byte = static_cast<unsigned char>(c);
    name += std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_';
  }
  return name;
}

std::map<std::string, std::string> launch_environment(const track::RunFolder& run,
                                                      const track::RunSpec& spec,
                                                      const fs::path& project,
                                                      const Placement& placement) {
  std::map<std::string, std::string> out = {
      {"MLP_RUN_ID", spec.id},
      {"MLP_PROJECT", project.native()},
      {"MLP_OUT_DIR", run.outs().native()},
      {"MLP_CHECKPOINT_DIR", run.checkpoints().native()},
      {"MLP_METRICS", run.reported().native()},
      {"MLP_PARAMS", run.params().native()},
  };
  for (const track::DatasetUse& use : spec.datasets)
    out[data_variable(use.name)] = (project / use.path).lexically_normal().native();

  const auto nodes = static_cast<std::int64_t>(placement.hosts.size());
  const std::int64_t world = placement.world_size();
  const std::int64_t rank = placement.rank();
  const std::string& address = placement.hosts.front();
  const std::string port = std::to_string(placement.port);

  // torch.distributed, and whoever took its names
  out["MASTER_ADDR"] = address;
  out["MASTER_PORT"] = port;
  out["WORLD_SIZE"] = std::to_string(world);
  out["RANK"] = std::to_string(rank);
  out["LOCAL_RANK"] = std::to_string(placement.local);
  out["LOCAL_WORLD_SIZE"] = std::to_string(placement.processes_per_node);
  out["GROUP_RANK"] = std::to_string(placement.node);
  // torchrun's options
  out["PET_NNODES"] = std::to_string(nodes);
  out["PET_NPROC_PER_NODE"] = std::to_string(placement.processes_per_node);
  out["PET_NODE_RANK"] = std::to_string(placement.node);
  out["PET_MASTER_ADDR"] = address;
  out["PET_MASTER_PORT"] = port;
  // JAX
  out["JAX_COORDINATOR_ADDRESS"] = address + ":" + port;
  out["JAX_NUM_PROCESSES"] = std::to_string(world);
  out["JAX_PROCESS_ID"] = std::to_string(rank);
  // MPI: its own variables make a plain `mpirun` take the host file
  const std::string hosts = run.host_file().native();
  out["MLP_HOST_FILE"] = hosts;
  out["OMPI_MCA_orte_default_hostfile"] = hosts; // Open MPI 4
  out["PRTE_MCA_prte_default_hostfile"] = hosts; // Open MPI 5
  // TensorFlow
  Json workers = json_array();
  std::map<std::string_view, std::int64_t> used; // ports of a host, which may be there twice
  for (const std::string& host : placement.hosts)
    for (std::int64_t process = 0; process < placement.processes_per_node; ++process)
      workers.push_back(fmt::format("{}:{}", host, placement.port + used[host]++));
  out["TF_CONFIG"] = dump_json(json_object(
      {{"cluster", {{"worker", workers}}}, {"task", {{"type", "worker"}, {"index", rank}}}}));
  return out;
}

std::vector<Placement> place_processes(const config::Task& task, std::vector<std::string> hosts,
                                       std::uint16_t port) {
  std::vector<Placement> out;
  const Placement first{std::move(hosts), task.procs_per_node, 0, 0, port};
  const std::int64_t nodes =
      task.run_per == config::RunPer::job ? 1 : static_cast<std::int64_t>(first.hosts.size());
  const std::int64_t each = task.run_per == config::RunPer::process ? task.procs_per_node : 1;
  for (std::int64_t node = 0; node < nodes; ++node)
    for (std::int64_t local = 0; local < each; ++local) {
      out.push_back(first);
      out.back().node = node;
      out.back().local = local;
    }
  return out;
}

std::string host_file(const Placement& placement) {
  std::vector<std::pair<std::string, std::int64_t>> slots; // in the order of the hosts
  for (const std::string& host : placement.hosts) {
    const auto known = std::find_if(slots.begin(), slots.end(),
                                    [&](const auto& entry) { return entry.first == host; });
    if (known != slots.end())
      known->second += placement.processes_per_node;
    else
      slots.emplace_back(host, placement.processes_per_node);
  }
  std::string text;
  for (const auto& [host, count] : slots)
    text += fmt::format("{} slots={}\n", host, count);
  return text;
}

namespace {

// A socket bound to the port, or to any that is free if it is 0; the port that it has.
std::pair<File, std::uint16_t> bound_socket(std::uint16_t port) {
  File socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  address.sin_port = ::htons(port);
  socklen_t size = sizeof address;
  if (!socket.is_open() || ::bind(socket.fd(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return {File(), 0};
  return {std::move(socket), ::ntohs(address.sin_port)};
}

} // namespace

std::uint16_t free_ports(std::int64_t count) noexcept {
  constexpr int attempts = 100;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    std::vector<std::pair<File, std::uint16_t>> held;
    held.push_back(bound_socket(0));
    const std::uint16_t first = held.front().second;
    if (first == 0 || first + count > 65536) continue;
    while (static_cast<std::int64_t>(held.size()) < count && held.back().second != 0)
      held.push_back(bound_socket(static_cast<std::uint16_t>(held.back().second + 1)));
    if (held.back().second != 0) return first;
  }
  return 0;
}

} // namespace mlp::job
