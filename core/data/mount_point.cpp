// mountinfo, umount2, fusermount3.
#include "core/data/mount_point.hpp"

#include "core/base/error.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

namespace mlp::data {

namespace {

// "\040" for a space, and so on.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      unsigned value = 0;
      for (std::size_t k = 1; k <= 3; ++k)
        value = value * 8 + static_cast<unsigned>(text[i + k] - '0');
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Its attributes may still be in the kernel's cache, so it is opened.
bool is_dead(const fs::path& path) {
  const File folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return !folder.is_open() && errno == ENOTCONN;
}

bool unmount_by_helper(const fs::path& path, bool lazy) {
  const TemporaryDirectory scratch("mlp-unmount-");
  const File said = File::create(scratch.path() / "said", 0600);
  ProcessSpec spec;
  spec.arguments = {"fusermount3", "-u"};
  if (lazy) spec.arguments.emplace_back("-z");
  spec.arguments.emplace_back("--");
  spec.arguments.push_back(path.native());
  spec.standard_error = said.fd();
  std::optional<ProcessExit> exit;
  try {
    Process helper = Process::spawn(spec);
    exit = helper.wait_for(std::chrono::seconds(10));
    if (!exit) helper.signal(9);
  } catch (Error& error) {
    if (error.kind() == ErrorKind::not_found)
      throw Error(ErrorKind::not_found, "fusermount3 is not installed")
          .with_hint("install it: apt install fuse3");
    throw;
  }
  if (exit && exit->code == 0) return true;
  const std::string reason(trim(read_file(scratch.path() / "said", 64u << 10)));
  if (reason.find("busy") != std::string::npos) return false;
  throw Error(ErrorKind::failed, fmt::format("cannot unmount '{}': {}", path.native(),
                                             exit ? printable(reason) : "fusermount3 hangs"));
}

} // namespace

fs::path mount_path(const fs::path& path) {
  fs::path clean = fs::absolute(path).lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();
  std::error_code code;
  const fs::path real = fs::canonical(clean, code);
  if (!code) return real;
  const fs::path folder = fs::weakly_canonical(clean.parent_path(), code);
  return code ? clean : folder / clean.filename();
}

std::optional<MountPoint> find_mount(const fs::path& path) {
  std::optional<MountPoint> found;
  std::istringstream lines(read_file("/proc/self/mountinfo", 64u << 20));
  for (std::string line; std::getline(lines, line);) {
    // id parent major:minor root mountpoint options [fields...] - type source options
    std::istringstream words(line);
    std::string word, mountpoint, type, source;
    for (int i = 0; i < 5; ++i)
      words >> mountpoint;
    while (words >> word && word != "-") {
    }
    if (!(words >> type >> source)) continue;
    if (unescaped(mountpoint) == path.native()) found = {path, unescaped(type), unescaped(source)};
  }
  return found;
}

bool prepare_mount_point(const fs::path& path) {
  if (const auto mounted = find_mount(path); mounted && mounted->type == mount_type) {
    if (!is_dead(path))
      throw Error(ErrorKind::conflict, fmt::format("'{}' is a mount of '{}' already", path.native(),
                                                   printable(mounted->source)))
          .with_hint("mlp data unmount " + shell_quote(path.native()));
    (void)unmount(path, true);
  }
  std::error_code code;
  const auto status = fs::status(path, code);
  if (!fs::exists(status)) {
    make_directories(path);
    return true;
  }
  if (!fs::is_directory(status))
    throw Error(ErrorKind::conflict, fmt::format("'{}' is not a folder", path.native()))
        .with_hint("name an empty folder, or one that does not exist");
  const bool empty = fs::is_empty(path, code);
  if (code) throw system_error(code.value(), "read", path.native());
  if (!empty)
    throw Error(ErrorKind::conflict, fmt::format("the folder '{}' is not empty", path.native()))
        .with_hint("name an empty folder, or one that does not exist");
  return false;
}

bool unmount(const fs::path& path, bool lazy) {
  if (::umount2(path.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return true;
  if (errno == EBUSY) return false;
  if (errno == EINVAL || errno == ENOENT)
    throw Error(ErrorKind::not_found, fmt::format("nothing is mounted at '{}'", path.native()));
  if (errno != EPERM) throw system_error(errno, "unmount", path.native());
  return unmount_by_helper(path, lazy);
}

} // namespace mlp::data
