// The calls themselves. The structures of <linux/mount.h> and <sys/mount.h> exclude each other, so
// only the former is read, here.
#include "core/image/mount_calls.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace mlp::image {

namespace {

File checked(long fd, std::string_view action, const std::string& subject) {
  if (fd < 0) throw system_error(errno, action, subject);
  return File(static_cast<int>(fd), subject);
}

} // namespace

File copy_mount(const std::string& path) {
  return checked(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(),
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE),
                 "mount", path);
}

File new_mount(const std::string& type, const std::string& options) {
  const File context = checked(::syscall(SYS_fsopen, type.c_str(), FSOPEN_CLOEXEC), "mount", type);
  for (const std::string& option : split(options, ',')) {
    if (option.empty()) continue;
    const std::size_t equals = option.find('=');
    const std::string key = option.substr(0, equals);
    const bool flag = equals == std::string::npos;
    const std::string value = flag ? std::string() : option.substr(equals + 1);
    if (::syscall(SYS_fsconfig, context.fd(), flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING,
                  key.c_str(), flag ? nullptr : value.c_str(), 0) != 0)
      throw system_error(errno, "mount", type);
  }
  if (::syscall(SYS_fsconfig, context.fd(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    throw system_error(errno, "mount", type);
  return checked(::syscall(SYS_fsmount, context.fd(), FSMOUNT_CLOEXEC,
                           MOUNT_ATTR_NOSUID | (type == "devpts" ? 0 : MOUNT_ATTR_NODEV)),
                 "mount", type);
}

void make_read_only(const File& mount, bool recursive) {
  mount_attr change{};
  change.attr_set = MOUNT_ATTR_RDONLY;
  if (::syscall(SYS_mount_setattr, mount.fd(), "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
                &change, sizeof change) != 0)
    throw system_error(errno, "make read-only", mount.name());
}

void place_mount(const File& mount, const File& target) {
  if (::syscall(SYS_move_mount, mount.fd(), "", target.fd(), "",
                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    throw system_error(errno, "mount at", target.name());
}

void mount_at(const char* source, const char* target, const char* type, unsigned long flags,
              const char* options) {
  if (::syscall(SYS_mount, source, target, type, flags, options) != 0)
    throw system_error(errno, "mount at", target);
}

void pivot_to(const char* root, const char* old_place) {
  if (::syscall(SYS_pivot_root, root, old_place) != 0)
    throw system_error(errno, "enter root file system", root);
}

int open_in_root(const File& root, const std::string& path, int flags) noexcept {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, root.fd(), path.c_str(), &how, sizeof how));
}

} // namespace mlp::image
