// Which machine, which boot, which process: enough to tell later whether a process that a journal
// names is still the same one, also when ids were reused or the machine restarted.
#pragma once

#include "core/base/json_fwd.hpp"

#include <sys/types.h>

#include <optional>
#include <string>

namespace mlp::track {

struct ProcessIdentity {
  pid_t pid = 0;
  unsigned long long start = 0; // clock ticks after boot, field 22 of /proc/PID/stat
  std::string host;             // host name
  std::string boot;             // /proc/sys/kernel/random/boot_id
  std::string pid_namespace;    // "pid:[4026531836]": a container has ids of its own
  bool operator==(const ProcessIdentity&) const = default;
};

[[nodiscard]] ProcessIdentity this_process();
// Identity of another process of this machine, e.g. a child.
[[nodiscard]] ProcessIdentity process_here(pid_t pid);

enum class Liveness {
  alive,
  dead,
  restarted, // same host, another boot: dead
  unknown,   // on another host or in another container: cannot be told from here
};

// Reads /proc; never throws, never blocks.
[[nodiscard]] Liveness liveness(const ProcessIdentity& process) noexcept;

[[nodiscard]] Json to_json(const ProcessIdentity& process);
// nullopt if `value` is no such object. Missing members stay empty.
[[nodiscard]] std::optional<ProcessIdentity> process_from_json(const Json& value);

[[nodiscard]] std::string host_name();
[[nodiscard]] std::string user_name();

} // namespace mlp::track
