// Finding the processes of a run by the variable that every one of them inherits.
#include "core/base/error.hpp"
#include "core/job/supervisor.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <csignal>

namespace mlp::job {

int kill_leftovers(std::string_view run_id) {
  const std::string wanted = fmt::format("MLP_RUN_ID={}", run_id);
  int killed = 0;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator("/proc", code)) {
    const std::string name = entry.path().filename().native();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || *end != '\0' || pid == ::getpid()) continue;
    std::string environment;
    try { // of others it cannot be read
      environment = read_file(entry.path() / "environ", 4u << 20);
    } catch (const Error&) {
      continue;
    }
    environment.insert(environment.begin(), '\0');
    if (environment.find('\0' + wanted + '\0') == std::string::npos) continue;
    if (::kill(pid, SIGKILL) == 0) ++killed;
  }
  return killed;
}

} // namespace mlp::job
