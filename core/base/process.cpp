// fork and exec with a pipe that carries the reason of a failed exec back to the parent.
#include "core/base/process.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

extern char** environ;

namespace mlp {

namespace {

// What a failed child tells its parent, in one write: which step and errno.
struct Failure {
  int step; // 0 chdir, 1 exec, 2 other
  int error;
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (std::string& s : strings)
    out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

// Makes fds[i] descriptor i, for 0, 1 and 2. Sources among those three are first copied out of the
// way: the caller may have swapped them.
bool redirect(int (&fds)[3], int null_fd) {
  for (int& fd : fds) {
    if (fd < 0) fd = null_fd;
    if (fd < 3) fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) return false;
  }
  return ::dup2(fds[0], 0) >= 0 && ::dup2(fds[1], 1) >= 0 && ::dup2(fds[2], 2) >= 0;
}

// What this process inherited without O_CLOEXEC is not for its children: a pipe kept open by a
// supervisor would hang whoever reads it.
void close_others_on_exec() {
  if (::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
  for (int fd = 3; fd < 1024; ++fd) // a kernel before 5.11
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Blocks every signal while it lives: a handler of ours must not run in the child.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

// Only async-signal-safe calls from here on: the parent may have threads.
[[noreturn]] void child(const ProcessSpec& spec, char** arguments, char** environment, int report,
                        pid_t parent) {
  const auto fail = [&](int step) {
    const Failure failure{step, errno};
    [[maybe_unused]] const ssize_t n = ::write(report, &failure, sizeof failure);
    ::_exit(127);
  };
  if (spec.new_session) ::setsid();
  if (spec.dies_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127); // it ended before the line above
  }
  for (int number = 1; number < NSIG; ++number)
    ::signal(number, SIG_DFL); // refused for SIGKILL and SIGSTOP, as it should be
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_fd < 0) fail(2);
  int fds[3] = {spec.standard_input, spec.standard_output, spec.standard_error};
  if (!redirect(fds, null_fd)) fail(2);
  close_others_on_exec();
  if (!spec.directory.empty() && ::chdir(spec.directory.c_str()) != 0) fail(0);
  ::execvpe(arguments[0], arguments, environment);
  fail(1);
  ::_exit(127);
}

ProcessExit decode(int status) {
  if (WIFSIGNALED(status)) return {128 + WTERMSIG(status), WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

} // namespace

Process Process::spawn(const ProcessSpec& spec) {
  if (spec.arguments.empty() || spec.arguments[0].empty())
    throw Error(ErrorKind::failed, "cannot start a process: no program is named");
  std::vector<std::string> arguments = spec.arguments;
  std::vector<char*> argv = pointers(arguments);
  std::vector<std::string> variables;
  std::vector<char*> envp;
  if (spec.environment) {
    for (const auto& [name, value] : *spec.environment)
      variables.push_back(fmt::format("{}={}", name, value));
    envp = pointers(variables);
  }
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  File read_end(report[0], "report of a child");
  File write_end(report[1]);
  if (report[1] < 3) { // one of 0, 1, 2 is closed here, and would be written over in the child
    const int moved = ::fcntl(report[1], F_DUPFD_CLOEXEC, 3);
    if (moved < 0) throw system_error(errno, "create", "pipe");
    write_end = File(moved);
  }
  const pid_t parent = ::getpid();
  pid_t pid = -1;
  {
    const BlockedSignals blocked;
    pid = ::fork();
    if (pid == 0)
      child(spec, argv.data(), spec.environment ? envp.data() : environ, write_end.fd(), parent);
  }
  if (pid < 0) throw system_error(errno, "start", arguments[0]);
  write_end.close();
  Failure failure{};
  if (read_end.read(std::as_writable_bytes(std::span(&failure, 1))) == sizeof failure) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (failure.step == 0)
      throw system_error(failure.error, "enter folder", spec.directory.native());
    throw system_error(failure.error, "start", arguments[0]);
  }
  return Process(pid);
}

ProcessExit Process::wait() {
  if (!exit_) {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0)
      if (errno != EINTR) throw system_error(errno, "wait for", std::to_string(pid_));
    exit_ = decode(status);
  }
  return *exit_;
}

std::optional<ProcessExit> Process::wait_for(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  auto pause = std::chrono::milliseconds(1);
  while (!exit_) {
    int status = 0;
    const pid_t done = ::waitpid(pid_, &status, WNOHANG);
    if (done == pid_) {
      exit_ = decode(status);
    } else if (done < 0 && errno != EINTR) {
      throw system_error(errno, "wait for", std::to_string(pid_));
    } else {
      if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::milliseconds(20));
    }
  }
  return exit_;
}

bool Process::signal(int number, bool group) noexcept {
  if (exit_) return false;
  return ::kill(group ? -pid_ : pid_, number) == 0;
}

namespace {
// State letter and start time of /proc/PID/stat; the name in parentheses may hold anything.
bool read_stat(pid_t pid, char& state, unsigned long long& start) noexcept {
  char path[40];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[1024];
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (n <= 0) return false;
  text[n] = '\0';
  const char* rest = std::strrchr(text, ')');
  if (rest == nullptr) return false;
  return std::sscanf(rest + 1,
                     " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                     "%llu",
                     &state, &start) == 2;
}
} // namespace

bool process_alive(pid_t pid, unsigned long long start_time) noexcept {
  char state = 0;
  unsigned long long start = 0;
  if (pid <= 0 || !read_stat(pid, state, start)) return false;
  return state != 'Z' && state != 'X' && (start_time == 0 || start == start_time);
}

unsigned long long process_start_time(pid_t pid) noexcept {
  char state = 0;
  unsigned long long start = 0;
  return read_stat(pid, state, start) ? start : 0;
}

std::optional<fs::path> find_program(const std::string& name) {
  const auto runs = [](const fs::path& path) {
    std::error_code code;
    return fs::is_regular_file(path, code) && ::access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos)
    return runs(name) ? std::optional<fs::path>(name) : std::nullopt;
  for (const std::string& folder : split(get_env("PATH").value_or("/bin:/usr/bin"), ':'))
    if (fs::path path = fs::path(folder) / name; runs(path)) return path;
  return std::nullopt;
}

fs::path this_executable() {
  std::error_code code;
  fs::path path = fs::read_symlink("/proc/self/exe", code);
  return !code && fs::exists(path, code) ? path : fs::path("/proc/self/exe");
}

std::map<std::string, std::string> current_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

std::optional<std::string> get_env(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

} // namespace mlp
