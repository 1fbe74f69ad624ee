// fork and exec with a pipe that carries the reason of a failed exec back to the parent.
#include "core/base/process.hpp"

#include "core/base/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

extern char** environ;

namespace mlp {

namespace {

// What a failed child tells its parent: which step and errno.
struct Failure {
  int step; // 0 chdir, 1 exec, 2 other
  int error;
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& s : strings)
    out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

bool redirect(int from, int to, int null_fd) {
  const int source = from < 0 ? null_fd : from;
  if (source == to) return ::fcntl(to, F_SETFD, 0) == 0;
  return ::dup2(source, to) >= 0;
}

// Only async-signal-safe calls from here on: the parent may have threads.
[[noreturn]] void child(const ProcessSpec& spec, char** arguments, char** environment, int report) {
  const auto fail = [&](int step) {
    const Failure failure{step, errno};
    [[maybe_unused]] const ssize_t n = ::write(report, &failure, sizeof failure);
    ::_exit(127);
  };
  if (spec.new_session) ::setsid();
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGHUP, SIGQUIT, SIGCHLD})
    ::signal(number, SIG_DFL);
  const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_fd < 0) fail(2);
  if (!redirect(spec.standard_input, 0, null_fd) || !redirect(spec.standard_output, 1, null_fd) ||
      !redirect(spec.standard_error, 2, null_fd))
    fail(2);
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
  std::vector<std::string> arguments = spec.arguments;
  std::vector<char*> argv = pointers(arguments);
  std::vector<std::string> variables;
  std::vector<char*> envp;
  if (spec.environment) {
    for (const auto& [name, value] : *spec.environment)
      variables.push_back(name + "=" + value);
    envp = pointers(variables);
  }
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  File read_end(report[0]);
  File write_end(report[1]);
  const pid_t pid = ::fork();
  if (pid < 0) throw system_error(errno, "start", arguments.at(0));
  if (pid == 0) child(spec, argv.data(), spec.environment ? envp.data() : environ, report[1]);
  write_end.close();
  Failure failure{};
  if (read_end.read(std::as_writable_bytes(std::span(&failure, 1))) == sizeof failure) {
    ::waitpid(pid, nullptr, 0);
    if (failure.step == 0)
      throw system_error(failure.error, "enter folder", spec.directory.native());
    throw system_error(failure.error, "start", arguments.at(0));
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

fs::path this_executable() {
  return fs::read_symlink("/proc/self/exe");
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
