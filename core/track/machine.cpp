// Identity of processes from /proc.
#include "core/track/machine.hpp"

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

#include <limits.h>
#include <unistd.h>

#include <array>

namespace mlp::track {

namespace {

std::string read_boot_id() {
  try {
    const auto text = read_file_if_exists("/proc/sys/kernel/random/boot_id", 4096);
    return text ? std::string(trim(*text)) : std::string();
  } catch (const Error&) {
    return {};
  }
}

std::string read_pid_namespace() {
  std::array<char, 64> text{};
  const ssize_t n = ::readlink("/proc/self/ns/pid", text.data(), text.size());
  return n > 0 ? std::string(text.data(), static_cast<std::size_t>(n)) : std::string();
}

// What does not change while this process lives.
struct Here {
  std::string host = host_name();
  std::string boot = read_boot_id();
  std::string pid_namespace = read_pid_namespace();
};
const Here& here() {
  static const Here value;
  return value;
}

} // namespace

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

std::string user_name() {
  for (const char* variable : {"USER", "LOGNAME"})
    if (const auto name = get_env(variable); name && !name->empty()) return *name;
  return "uid-" + std::to_string(::getuid()); // a look-up in a directory service could block
}

ProcessIdentity process_here(pid_t pid) {
  return {pid, process_start_time(pid), here().host, here().boot, here().pid_namespace};
}

ProcessIdentity this_process() {
  return process_here(::getpid());
}

Liveness liveness(const ProcessIdentity& process) noexcept {
  const Here& machine = here();
  if (process.host != machine.host) return Liveness::unknown;
  if (process.boot != machine.boot) return Liveness::restarted;
  if (process.pid_namespace != machine.pid_namespace) return Liveness::unknown;
  return process_alive(process.pid, process.start) ? Liveness::alive : Liveness::dead;
}

Json to_json(const ProcessIdentity& process) {
  return json_object({{"pid", process.pid},
                      {"start", process.start},
                      {"host", process.host},
                      {"boot", process.boot},
                      {"pid_namespace", process.pid_namespace}});
}

std::optional<ProcessIdentity> process_from_json(const Json& value) {
  if (!value.is_object()) return std::nullopt;
  const auto pid = value.find("pid");
  const auto start = value.find("start");
  if (pid == value.end() || start == value.end() || !pid->is_number_integer() ||
      !start->is_number_integer())
    return std::nullopt;
  const auto text = [&](const char* key) {
    const auto found = value.find(key);
    return found != value.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  return ProcessIdentity{pid->get<pid_t>(), start->get<unsigned long long>(), text("host"),
                         text("boot"), text("pid_namespace")};
}

} // namespace mlp::track
