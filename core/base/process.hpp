// Child processes from argument vectors: no shell, no inherited descriptors, signals as new.
#pragma once

#include "core/base/fs.hpp"

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mlp {

struct ProcessSpec {
  std::vector<std::string> arguments; // [0] is looked up in our PATH if it has no '/'
  std::optional<std::map<std::string, std::string>> environment; // absent: ours
  fs::path directory;                                            // empty: ours
  // Descriptors for 0, 1, 2; -1 is /dev/null. Any may be given more than once, also 0, 1 and 2
  // themselves. The caller keeps ownership. All other descriptors are closed in the child.
  int standard_input = -1;
  int standard_output = -1;
  int standard_error = -1;
  bool new_session = false; // setsid: survives its terminal, and heads a process group
  // The child gets SIGKILL when the thread that started it ends, however it ends.
  bool dies_with_parent = false;
};

struct ProcessExit {
  int code = 0;   // exit code, or 128 + signal as shells say it
  int signal = 0; // 0 if it exited by itself
};

// A running child. Destruction neither waits nor kills; a child that is not waited for stays a
// zombie until this process ends. One thread at a time, but for signal().
class Process {
 public:
  // Returns once the program runs. Throws Error: not_found (no such program or folder), denied,
  // failed.
  [[nodiscard]] static Process spawn(const ProcessSpec& spec);

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // Blocks until the child ends.
  ProcessExit wait();
  // nullopt if it has not ended by then.
  std::optional<ProcessExit> wait_for(std::chrono::milliseconds timeout);
  // To the process, or with `group` to its process group. False if it is gone.
  bool signal(int number, bool group = false) noexcept;

 private:
  explicit Process(pid_t pid) noexcept : pid_(pid) {}
  pid_t pid_ = -1;
  std::optional<ProcessExit> exit_;
};

// True if a process with this id exists and, unless `start_time` is 0, began at that time (clock
// ticks since boot, field 22 of /proc/PID/stat): a reused id does not count. Zombies are dead.
[[nodiscard]] bool process_alive(pid_t pid, unsigned long long start_time) noexcept;
// Field 22 of /proc/PID/stat; 0 if there is no such process.
[[nodiscard]] unsigned long long process_start_time(pid_t pid) noexcept;

// The program that spawn() would start under this name; nullopt if there is none that we may run.
[[nodiscard]] std::optional<fs::path> find_program(const std::string& name);

// The path of this executable; "/proc/self/exe" if its file was replaced or removed since, which a
// child can still start.
[[nodiscard]] fs::path this_executable();

[[nodiscard]] std::map<std::string, std::string> current_environment();
[[nodiscard]] std::optional<std::string> get_env(const char* name);

} // namespace mlp
