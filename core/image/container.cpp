// Three processes: this one, which waits outside of the new PID namespace; the first process
// inside, which puts the root together, reaps orphans and hands on signals; and the program. The
// first inside dies with this one, and the kernel then kills all others of its namespace. Both run
// this program's file for as long as anything runs inside, so that nobody there can write to it.
#include "core/image/container.hpp"

#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/image/container_user.hpp"
#include "core/image/namespaces.hpp"
#include "core/image/root_file_system.hpp"
#include "core/image/seccomp.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace mlp::image {

namespace {

constexpr int not_found_code = 127, not_executable_code = 126, own_failure_code = 125;
constexpr std::string_view default_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// SIGCHLD and what is handed on.
sigset_t awaited_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH})
    ::sigaddset(&set, number);
  return set;
}

std::size_t read_retrying(int fd, std::span<char> data) {
  ssize_t n = 0;
  do {
    n = ::read(fd, data.data(), data.size());
  } while (n < 0 && errno == EINTR);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

// What the processes inside tell the one outside, a line of JSON each.
class Report {
 public:
  Report() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
    from_ = File(ends[0], "report of a container");
    to_ = File(ends[1], "report of a container");
  }

  void made(const std::vector<std::string>& points) { write(json_object({{"made", points}})); }
  void failed(const Error& error, int code) {
    write(json_object({{"failed", error.message()},
                       {"kind", static_cast<int>(error.kind())},
                       {"code", code},
                       {"contexts", error.contexts()},
                       {"hints", error.hints()}}));
  }
  void close_writing() { to_.close(); }
  void close_reading() { from_.close(); }

  // Blocks until the program runs or has failed to, which is thrown. Returns the mount points.
  std::vector<std::string> read() {
    std::string text;
    std::array<char, 4096> part{};
    while (const std::size_t n = read_retrying(from_.fd(), part))
      text.append(part.data(), n);
    std::vector<std::string> points;
    for (const std::string& line : split(text, '\n')) {
      if (line.empty()) continue;
      const Json record = parse_json(line, "report of a container");
      if (const auto made = record.find("made"); made != record.end())
        points = made->get<std::vector<std::string>>();
      if (record.contains("failed")) failure_ = record;
    }
    return points;
  }
  void throw_failure() const {
    if (failure_.is_null()) return;
    Error error(static_cast<ErrorKind>(failure_.at("kind").get<int>()),
                failure_.at("failed").get<std::string>());
    for (const Json& context : failure_.at("contexts"))
      error.add_context(context.get<std::string>());
    for (const Json& hint : failure_.at("hints"))
      error.add_hint(hint.get<std::string>());
    const int code = failure_.at("code").get<int>();
    if (code == own_failure_code) throw std::move(error);
    throw ProgramError(std::move(error), code);
  }

 private:
  void write(const Json& record) { to_.write(dump_json(record) + "\n"); }
  File from_, to_;
  Json failure_;
};

// Whether this process has a terminal, in its foreground: Ctrl-C then reaches the program by the
// terminal, and it may read from it.
bool in_foreground() {
  for (const int fd : {0, 1, 2})
    if (::tcgetpgrp(fd) == ::getpgrp()) return true;
  return false;
}

// Hands on the next signals to `send` until a child has ended.
template <class Send>
void hand_on_signals(bool foreground, Send&& send) {
  const sigset_t set = awaited_signals();
  for (;;) {
    siginfo_t info{};
    const int number = ::sigwaitinfo(&set, &info);
    if (number == SIGCHLD) return;
    // What the terminal sends has reached the whole group.
    if (number > 0 && !(foreground && info.si_code == SI_KERNEL)) send(number);
  }
}

// Waits for a child and hands on signals meanwhile; reaps others too.
int wait_for(pid_t child, bool foreground, bool group) {
  for (;;) {
    int status = 0;
    for (pid_t ended = 1; ended > 0;) {
      ended = ::waitpid(-1, &status, WNOHANG);
      if (ended == child) return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    hand_on_signals(foreground, [&](int number) { ::kill(group ? -child : child, number); });
  }
}

// Docker's set: what root of an image needs for its own files, nothing that changes the system.
void drop_capabilities() {
  constexpr std::array kept = {CAP_CHOWN,       CAP_DAC_OVERRIDE,     CAP_FOWNER, CAP_FSETID,
                               CAP_KILL,        CAP_SETGID,           CAP_SETUID, CAP_SETPCAP,
                               CAP_SETFCAP,     CAP_NET_BIND_SERVICE, CAP_MKNOD,  CAP_SYS_CHROOT,
                               CAP_AUDIT_WRITE, CAP_NET_RAW};
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    if (std::find(kept.begin(), kept.end(), capability) == kept.end())
      ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

std::map<std::string, std::string> final_environment(const ContainerSpec& spec,
                                                     const ContainerUser& user) {
  std::map<std::string, std::string> environment = spec.environment;
  for (const std::string& name : spec.inherited)
    if (const auto value = get_env(name.c_str())) environment[name] = *value;
  environment.try_emplace("PATH", default_path);
  environment.try_emplace("HOME", user.home);
  if (spec.pretend_root) environment.try_emplace("APT_CONFIG", "/dev/apt.conf");
  return environment;
}

bool is_program(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

[[noreturn]] void throw_not_found(const std::string& name) {
  throw ProgramError(
      Error(ErrorKind::not_found, fmt::format("no program '{}' in the image", printable(name))),
      not_found_code);
}

std::string find_in_image(const std::string& name, const std::string& path) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), F_OK) != 0) throw_not_found(name);
    return name;
  }
  std::string denied;
  for (const std::string& folder : split(path, ':')) {
    const std::string place = (folder.empty() ? "." : folder) + "/" + name;
    if (name.empty() || !is_program(place)) continue;
    if (::access(place.c_str(), X_OK) == 0) return place;
    if (denied.empty()) denied = place;
  }
  if (denied.empty()) throw_not_found(name);
  return denied;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings)
    out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void throw_not_started(int error, const std::string& program) {
  if (error == ENOENT)
    throw ProgramError(Error(ErrorKind::not_found,
                             fmt::format("cannot start '{}': its interpreter is not in the image",
                                         printable(program))),
                       not_found_code);
  Error problem = system_error(error, "start", program);
  if (error == ENOEXEC)
    problem.add_hint("it is no program of this machine's architecture, or a script without '#!'");
  throw ProgramError(std::move(problem), not_executable_code);
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number)
    ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Becomes the program.
[[noreturn]] void start_program(const ContainerSpec& spec, const ContainerUser& user,
                                bool foreground) {
  const std::map<std::string, std::string> environment = final_environment(spec, user);
  const std::string program = find_in_image(spec.arguments[0], environment.at("PATH"));
  std::vector<std::string> arguments = spec.arguments;
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment)
    variables.push_back(fmt::format("{}={}", name, value));
  const std::vector<char*> argv = pointers(arguments), envp = pointers(variables);
  if (!foreground) ::setpgid(0, 0);
  reset_signals();
  ::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  drop_capabilities();
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    throw system_error(errno, "give up", "privileges");
  if (spec.pretend_root) pretend_root_calls();
  ::execve(program.c_str(), argv.data(), envp.data());
  throw_not_started(errno, program);
}

// As the first process of the PID namespace. Returns its exit code.
int run_inside(const ContainerSpec& spec, const ContainerUser& user, Report& report,
               bool foreground) {
  ::umask(0);
  if (!spec.hostname.empty() && ::sethostname(spec.hostname.c_str(), spec.hostname.size()) != 0)
    throw system_error(errno, "set host name", spec.hostname);
  if (!spec.network) raise_loopback();
  report.made(enter_root(spec));
  ::umask(022);
  make_directories(spec.workdir);
  if (::chdir(spec.workdir.c_str()) != 0) throw system_error(errno, "enter folder", spec.workdir);
  const pid_t program = ::fork();
  if (program < 0) throw system_error(errno, "start", spec.arguments[0]);
  if (program == 0) start_program(spec, user, foreground);
  report.close_writing();
  if (!foreground) ::setpgid(program, program); // whoever of us comes first
  return wait_for(program, foreground, spec.signal_group);
}

// Runs `body` in a child whose errors are told through the report.
template <class Body>
[[noreturn]] void run_reporting(Report& report, Body&& body) {
  int code = own_failure_code;
  try {
    code = body();
  } catch (const ProgramError& error) {
    code = error.exit_code();
    report.failed(error, code);
  } catch (const Error& error) {
    report.failed(error, code);
  } catch (const std::exception& error) {
    report.failed(Error(ErrorKind::failed, error.what()), code);
  }
  ::_exit(code);
}

// The child of this process dies with it. `alive` hangs up when that has happened already.
void die_with_parent(const File& alive) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pollfd hang_up{.fd = alive.fd(), .events = 0, .revents = 0};
  if (::poll(&hang_up, 1, 0) != 0) ::_exit(own_failure_code);
}

void remove_points(const fs::path& upper, const std::vector<std::string>& points) {
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    const fs::path path = upper / *point;
    std::error_code code;
    // Not what the program has filled in the meantime.
    if (fs::is_directory(fs::symlink_status(path, code)) || fs::file_size(path, code) == 0)
      fs::remove(path, code);
  }
}

// Before Linux 6.6 a tmpfs keeps no extended attributes, without which folders cannot be replaced.
class ChangesOnDisk {
 public:
  explicit ChangesOnDisk(ContainerSpec& spec) {
    if (!spec.upper.empty() || kernel_at_least(6, 6)) return;
    folder_.emplace("mlp-container-");
    spec.upper = folder_->path() / "upper";
    spec.work = folder_->path() / "work";
    make_directories(spec.upper);
    make_directories(spec.work);
    work_ = spec.work / "work";
  }
  ~ChangesOnDisk() {
    if (folder_) ::chmod(work_.c_str(), 0700); // the kernel's own, which nobody may enter
  }
  ChangesOnDisk(ChangesOnDisk&&) = delete;

 private:
  std::optional<TemporaryDirectory> folder_;
  fs::path work_;
};

// Shared locks, by which UnpackedLayers::gc() sees that the layers are in use.
std::vector<File> hold(const std::vector<fs::path>& layers) {
  std::vector<File> held;
  for (const fs::path& layer : layers) {
    File folder(::open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), layer.native());
    if (!folder.is_open()) throw system_error(errno, "open folder", layer.native());
    ::flock(folder.fd(), LOCK_SH | LOCK_NB);
    held.push_back(std::move(folder));
  }
  return held;
}

} // namespace

int run_container(const ContainerSpec& wanted) {
  if (wanted.arguments.empty() || wanted.arguments[0].empty())
    throw Error(ErrorKind::config, "the container has no program to run")
        .with_hint("name one after the image, or give the image an entrypoint or command");
  if (!wanted.workdir.starts_with('/'))
    throw Error(ErrorKind::config,
                fmt::format("'{}' is no absolute path of a folder", printable(wanted.workdir)));
  ContainerSpec spec = with_real_paths(wanted);
  const std::vector<File> layers = hold(spec.layers);
  const ChangesOnDisk changes(spec);
  const ContainerUser user = find_container_user(spec);
  const bool foreground = in_foreground();

  const sigset_t set = awaited_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGCHLD, SIG_DFL);
  enter_namespaces(user, spec.network);
  Report report;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  const File alive(ends[0]);
  File held(ends[1]);
  const pid_t first = ::fork();
  if (first < 0) throw system_error(errno, "start", wanted.arguments[0]);
  if (first == 0) {
    held.close();
    report.close_reading();
    run_reporting(report, [&] {
      die_with_parent(alive);
      ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
      if (!foreground) ::setpgid(0, 0);
      return run_inside(spec, user, report, foreground);
    });
  }
  report.close_writing();
  const std::vector<std::string> points = report.read();
  const int code = wait_for(first, foreground, false);
  if (!spec.upper.empty()) remove_points(spec.upper, points);
  report.throw_failure();
  return code;
}

} // namespace mlp::image
