// Finding the processes of a run by the variable that every one of them inherits.
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/job/supervisor.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

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

void kill_orphans() {
  const fs::path children = fmt::format("/proc/self/task/{}/children", ::getpid());
  for (int round = 0; round < 50; ++round) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    std::string list;
    try {
      list = read_file(children);
    } catch (const Error&) {
      return;
    }
    bool any = false;
    for (const std::string& word : split(list, ' ')) {
      const pid_t pid = static_cast<pid_t>(std::strtol(word.c_str(), nullptr, 10));
      if (pid <= 0) continue;
      any = true;
      ::kill(pid, SIGKILL);
    }
    if (!any) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

} // namespace mlp::job
