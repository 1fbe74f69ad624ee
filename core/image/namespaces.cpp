// Whether namespaces can be had is tried out, in a child that ends at once: settings alone do not
// tell, for modules and outer containers forbid them too. The settings then say what to change.
#include "core/image/namespaces.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace mlp::image {

namespace {

std::string setting(const char* path) {
  try {
    return std::string(trim(read_file_if_exists(path, 4096).value_or("")));
  } catch (const Error&) {
    return {};
  }
}

// What the settings say about a refusal: {problem, remedy}.
struct Obstacle {
  std::string problem, remedy;
};
Obstacle explain(int error) {
  if (setting("/proc/sys/user/max_user_namespaces") == "0" || error == ENOSPC)
    return {"this system allows no more user namespaces (user.max_user_namespaces)",
            "as root: sysctl user.max_user_namespaces=10000"};
  if (setting("/proc/sys/kernel/unprivileged_userns_clone") == "0")
    return {"this system allows user namespaces to root only (kernel.unprivileged_userns_clone)",
            "as root: sysctl kernel.unprivileged_userns_clone=1"};
  if (setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1")
    return {"AppArmor allows user namespaces to named programs only "
            "(kernel.apparmor_restrict_unprivileged_userns)",
            "as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or give mlp a profile "
            "with 'userns,'"};
  if (error == EINVAL)
    return {"this kernel is built without user namespaces",
            "a kernel with CONFIG_USER_NS is needed"};
  return {fmt::format("user namespaces are refused here ({})", std::strerror(error)),
          "inside a container, its seccomp profile must allow 'unshare' and 'mount': for Docker, "
          "--security-opt seccomp=unconfined; inside a chroot they cannot be had"};
}

Error denied(int error) {
  const Obstacle obstacle = explain(error);
  return Error(ErrorKind::denied, obstacle.problem).with_hint(obstacle.remedy);
}

constexpr int own_namespaces = CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID;

void write_setting(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) throw system_error(errno, "write", path);
  File(fd, path).write(text);
}

} // namespace

bool kernel_at_least(int major, int minor) {
  utsname name{};
  int has_major = 0, has_minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &has_major, &has_minor) != 2)
    return true;
  return has_major != major ? has_major > major : has_minor >= minor;
}

std::optional<std::string> container_obstacle() {
  if (!kernel_at_least(5, 12)) return "containers need Linux 5.12 or newer";
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(own_namespaces | CLONE_NEWNS) == 0 ? 0 : errno);
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == 0) return std::nullopt;
  const Obstacle obstacle = explain(WEXITSTATUS(status));
  return obstacle.problem + "; " + obstacle.remedy;
}

void enter_namespaces(const ContainerUser& user, bool network) {
  if (!kernel_at_least(5, 12))
    throw Error(ErrorKind::denied, "containers need Linux 5.12 or newer");
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  // Only root can leave its other groups behind, and only here.
  if (uid == 0) static_cast<void>(::setgroups(0, nullptr));
  if (::unshare(own_namespaces | (network ? 0 : CLONE_NEWNET)) != 0) throw denied(errno);
  try {
    write_setting("/proc/self/setgroups", "deny");
    write_setting("/proc/self/uid_map", fmt::format("{} {} 1\n", user.uid, uid));
    write_setting("/proc/self/gid_map", fmt::format("{} {} 1\n", user.gid, gid));
  } catch (const Error&) {
    throw denied(EPERM); // AppArmor lets the namespace be made and allows nothing in it
  }
}

void raise_loopback() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return; // a kernel without IPv4
  const File socket(fd);
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_UP;
  if (::ioctl(fd, SIOCSIFFLAGS, &request) != 0) throw system_error(errno, "raise interface", "lo");
}

} // namespace mlp::image
