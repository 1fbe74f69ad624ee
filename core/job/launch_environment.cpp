// The variables, in the groups of the frameworks that read them.
#include "core/job/launch_environment.hpp"

#include "core/base/json.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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
  const std::int64_t world = nodes * placement.processes_per_node;
  const std::int64_t rank = placement.node * placement.processes_per_node + placement.local;
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
  // TensorFlow
  Json workers = json_array();
  for (const std::string& host : placement.hosts)
    for (std::int64_t process = 0; process < placement.processes_per_node; ++process)
      workers.push_back(fmt::format("{}:{}", host, placement.port + process));
  out["TF_CONFIG"] = dump_json(json_object(
      {{"cluster", {{"worker", workers}}}, {"task", {{"type", "worker"}, {"index", rank}}}}));
  return out;
}

std::uint16_t free_port() noexcept {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  std::uint16_t port = 0;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    port = ::ntohs(address.sin_port);
  ::close(fd);
  return port;
}

} // namespace mlp::job
