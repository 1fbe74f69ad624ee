// Each entry is made below a descriptor of its folder, which is opened from the root without
// following any link; nothing is ever opened by a path that the kernel would follow out of it.
// Folders are open to us until the end, when they get their modes.
#include "core/image/unpack_tree.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"
#include "core/image/unpack.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <vector>

namespace mlp::image {

namespace {

using Kind = TarEntry::Kind;

constexpr std::uint64_t most_entries = 4'000'000;
constexpr std::size_t most_path = 4095, most_name = 255, most_depth = 500;
constexpr std::size_t buffer_size = 256u << 10;
constexpr std::size_t hole = 4096; // bytes of zeros that are not written
constexpr const char* opaque_attribute = "user.overlay.opaque";
constexpr unsigned open_folder_mode = 0700;

int open_beneath(int root, const std::string& path, int flags) noexcept {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(
      ::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how));
}

bool is_whiteout(const struct stat& info) noexcept {
  return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
}

void remove_at(int folder, const char* name, int depth);

void remove_content(File folder, int depth) {
  if (depth > static_cast<int>(2 * most_depth))
    throw Error(ErrorKind::failed, "folders in folders without end");
  struct CloseFolder {
    void operator()(DIR* open) const noexcept { ::closedir(open); }
  };
  const std::unique_ptr<DIR, CloseFolder> list(::fdopendir(folder.fd()));
  if (!list) throw system_error(errno, "read folder", folder.name());
  static_cast<void>(folder.release()); // the list's now
  while (const dirent* item = ::readdir(list.get())) {
    const std::string_view name = item->d_name;
    if (name != "." && name != "..") remove_at(::dirfd(list.get()), item->d_name, depth + 1);
  }
}

void remove_at(int folder, const char* name, int depth) {
  if (::unlinkat(folder, name, 0) == 0 || errno == ENOENT) return;
  if (errno != EISDIR && errno != EPERM && errno != EACCES)
    throw system_error(errno, "remove", name);
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  struct stat info {};
  if (::fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(info.st_mode))
    throw system_error(EACCES, "remove", name);
  if ((info.st_mode & open_folder_mode) != open_folder_mode)
    ::fchmodat(folder, name, open_folder_mode, 0);
  File child(::openat(folder, name, flags), name);
  if (!child.is_open()) throw system_error(errno, "read folder", name);
  remove_content(std::move(child), depth);
  if (::unlinkat(folder, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
    throw system_error(errno, "remove", name);
}

class Unpacker {
 public:
  Unpacker(TarReader& tar, const fs::path& folder,
           const std::function<void(std::uint64_t)>& advance)
      : tar_(tar), root_(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), folder.native()),
        advance_(advance), buffer_(buffer_size) {
    if (!root_.is_open()) throw system_error(errno, "open folder", folder.native());
  }

  void add(const TarEntry& entry) {
    if (++counts_.entries > most_entries) fail(entry, "is one of more than 4 million");
    const auto path = parse_layer_path(entry.path);
    if (!path) fail(entry, "leads out of the layer, or is too long");
    switch (path->kind) {
    case LayerPath::Kind::ignored:
      return;
    case LayerPath::Kind::opaque:
      return set_attribute(open_to_write(folder_of(*path, entry), ".", entry), opaque_attribute,
                           "y", entry);
    case LayerPath::Kind::whiteout:
      return add_whiteout(folder_of(*path, entry), path->name, entry);
    case LayerPath::Kind::entry:
      return add_entry(*path, entry);
    }
  }

  // Folders get what their entries say, the deepest ones first.
  UnpackedEntries finish() {
    parent_ = File();
    for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) {
      const auto& [path, wanted] = *folder;
      const File open(open_beneath(root_.fd(), path, O_RDONLY | O_DIRECTORY), path);
      if (!open.is_open()) continue; // a later entry has replaced it
      set_times(open, wanted.modified);
      if (::fchmod(open.fd(), wanted.mode) != 0) throw system_error(errno, "set mode of", path);
    }
    return counts_;
  }

 private:
  struct Folder {
    unsigned mode = 0755;
    std::int64_t modified = 0;
  };

  [[noreturn]] static void fail(const TarEntry& entry, std::string_view problem) {
    throw Error(ErrorKind::integrity, fmt::format("entry '{}' {}", printable(entry.path), problem));
  }
  [[noreturn]] static void fail_call(std::string_view action, const TarEntry& entry) {
    throw system_error(errno, action, printable(entry.path));
  }

  // The folder of an entry; made if it has none of its own before. Entries mostly come folder by
  // folder, so the last one is kept.
  const File& folder_of(const LayerPath& path, const TarEntry& entry) {
    if (parent_.is_open() && path.folder == parent_path_) return parent_;
    parent_ = open_folder(path.folder, entry);
    parent_path_ = path.folder;
    return parent_;
  }

  File open_folder(const std::string& path, const TarEntry& entry) {
    File folder(open_beneath(root_.fd(), path, O_PATH | O_DIRECTORY), path);
    if (folder.is_open()) return folder;
    if (errno != ENOENT) fail_folder(entry);
    const std::size_t slash = path.rfind('/');
    const std::string above = slash == std::string::npos ? "" : path.substr(0, slash);
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    const File parent = open_folder(above, entry); // as deep as a path has components
    if (::mkdirat(parent.fd(), name.c_str(), open_folder_mode) != 0) fail_call("create", entry);
    folders_[path] = {};
    folder = File(open_beneath(root_.fd(), path, O_PATH | O_DIRECTORY), path);
    if (!folder.is_open()) fail_folder(entry);
    return folder;
  }
  [[noreturn]] static void fail_folder(const TarEntry& entry) {
    if (errno == ELOOP || errno == EXDEV) fail(entry, "is below a symbolic link");
    if (errno == ENOTDIR) fail(entry, "is below what is no folder");
    fail_call("open the folder of", entry);
  }

  static File open_to_write(const File& folder, const std::string& name, const TarEntry& entry) {
    File file(::openat(folder.fd(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
              name);
    if (!file.is_open()) fail_call("open", entry);
    return file;
  }

  void add_whiteout(const File& folder, const std::string& name, const TarEntry& entry) {
    if (::mknodat(folder.fd(), name.c_str(), S_IFCHR, makedev(0, 0)) == 0) return;
    if (errno != EEXIST) fail_call("hide what is below", entry);
    // The layer has both: what it removes is below it, what it adds stays.
    struct stat info {};
    if (::fstatat(folder.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(info.st_mode))
      set_attribute(open_to_write(folder, name, entry), opaque_attribute, "y", entry);
  }

  void add_entry(const LayerPath& path, const TarEntry& entry) {
    if (entry.kind == Kind::character_device || entry.kind == Kind::block_device) {
      ++counts_.devices;
      return;
    }
    if (path.name.empty()) {
      if (entry.kind != Kind::folder) fail(entry, "is the root, and no folder");
      return take_folder(root_, "", entry);
    }
    const File& folder = folder_of(path, entry);
    if (entry.kind == Kind::folder) return add_folder(folder, path, entry);
    if (entry.kind == Kind::hard_link) return add_hard_link(folder, path, entry);
    make_room(folder, path, entry);
    switch (entry.kind) {
    case Kind::file:
      return add_file(folder, path.name, entry);
    case Kind::link:
      if (::symlinkat(entry.target.c_str(), folder.fd(), path.name.c_str()) != 0)
        fail_call("create link", entry);
      break;
    default:
      if (::mknodat(folder.fd(), path.name.c_str(), S_IFIFO | 0600, 0) != 0 ||
          ::fchmodat(folder.fd(), path.name.c_str(), entry.mode, 0) != 0)
        fail_call("create", entry);
    }
    const std::array<timespec, 2> times = {timespec{entry.modified, 0},
                                           timespec{entry.modified, 0}};
    ::utimensat(folder.fd(), path.name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
  }

  static std::string full(const LayerPath& path) {
    return path.folder.empty() ? path.name : path.folder + "/" + path.name;
  }

  // An earlier entry of the same path goes.
  void make_room(const File& folder, const LayerPath& path, const TarEntry& entry) {
    if (::unlinkat(folder.fd(), path.name.c_str(), 0) == 0 || errno == ENOENT) return;
    if (errno != EISDIR && errno != EPERM) fail_call("replace", entry);
    remove_at(folder.fd(), path.name.c_str(), 0);
    forget_folders(full(path));
  }
  void forget_folders(const std::string& path) {
    folders_.erase(path);
    const std::string below = path + "/";
    auto first = folders_.lower_bound(below);
    while (first != folders_.end() && first->first.starts_with(below))
      first = folders_.erase(first);
  }

  void add_folder(const File& folder, const LayerPath& path, const TarEntry& entry) {
    const char* name = path.name.c_str();
    bool hides = false;
    struct stat info {};
    if (::mkdirat(folder.fd(), name, open_folder_mode) != 0) {
      if (errno != EEXIST || ::fstatat(folder.fd(), name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        fail_call("create folder", entry);
      if (!S_ISDIR(info.st_mode)) {
        hides = is_whiteout(info);
        make_room(folder, path, entry);
        if (::mkdirat(folder.fd(), name, open_folder_mode) != 0) fail_call("create folder", entry);
      }
    }
    const File made = open_to_write(folder, path.name, entry);
    if (hides) set_attribute(made, opaque_attribute, "y", entry);
    take_folder(made, full(path), entry);
  }

  void take_folder(const File& folder, const std::string& path, const TarEntry& entry) {
    if (path.empty()) {
      const File root = open_to_write(folder, ".", entry);
      take_attributes(root, entry);
    } else {
      take_attributes(folder, entry);
    }
    // Of the root its owner must always see what is in it.
    folders_[path] = {.mode = path.empty() ? entry.mode | open_folder_mode : entry.mode,
                      .modified = entry.modified};
  }

  void add_hard_link(const File& folder, const LayerPath& path, const TarEntry& entry) {
    const auto target = parse_layer_path(entry.target);
    if (!target || target->kind != LayerPath::Kind::entry || target->name.empty())
      fail(entry, fmt::format("is a hard link to '{}', which is not in the layer",
                              printable(entry.target)));
    if (full(*target) == full(path)) return;
    const File from(open_beneath(root_.fd(), target->folder, O_PATH | O_DIRECTORY), entry.target);
    struct stat info {};
    if (!from.is_open() ||
        ::fstatat(from.fd(), target->name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        S_ISDIR(info.st_mode) || S_ISCHR(info.st_mode))
      fail(entry, fmt::format("is a hard link to '{}', which is no file of the layer",
                              printable(entry.target)));
    make_room(folder, path, entry);
    // Not followed: a hard link to a symbolic link is one to the link itself.
    if (::linkat(from.fd(), target->name.c_str(), folder.fd(), path.name.c_str(), 0) != 0)
      fail_call("create hard link", entry);
  }

  void add_file(const File& folder, const std::string& name, const TarEntry& entry) {
    File file(::openat(folder.fd(), name.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600),
              printable(entry.path));
    if (!file.is_open()) fail_call("create", entry);
    std::uint64_t written = 0;
    while (const std::size_t n = tar_.read(buffer_)) {
      if (entry.sparse)
        write_around_holes(file, std::span(buffer_).first(n), written);
      else
        file.write(std::span(buffer_).first(n));
      written += n;
      advance_(n);
    }
    if (entry.sparse && ::ftruncate(file.fd(), static_cast<off_t>(written)) != 0)
      fail_call("write", entry);
    take_attributes(file, entry);
    if (::fchmod(file.fd(), entry.mode) != 0) fail_call("set mode of", entry);
    set_times(file, entry.modified);
  }

  static void write_around_holes(File& file, std::span<const std::byte> data, std::uint64_t at) {
    while (!data.empty()) {
      const auto part = data.first(std::min<std::size_t>(hole, data.size()));
      const bool zeros =
          std::all_of(part.begin(), part.end(), [](std::byte b) { return b == std::byte{0}; });
      if (!zeros) {
        if (::lseek(file.fd(), static_cast<off_t>(at), SEEK_SET) < 0)
          throw system_error(errno, "write", file.name());
        file.write(part);
      }
      at += part.size();
      data = data.subspan(part.size());
    }
  }

  static void set_times(const File& file, std::int64_t modified) {
    const std::array<timespec, 2> times = {timespec{modified, 0}, timespec{modified, 0}};
    ::futimens(file.fd(), times.data()); // a time that the file system cannot hold is no failure
  }

  static void set_attribute(const File& file, const char* name, std::string_view value,
                            const TarEntry& entry) {
    if (::fsetxattr(file.fd(), name, value.data(), value.size(), 0) == 0) return;
    if (errno != ENOTSUP) fail_call("set attributes of", entry);
    throw system_error(ENOTSUP, "set attributes of", printable(entry.path))
        .with_hint("layers are unpacked where files can have extended attributes: point "
                   "XDG_CACHE_HOME to a folder on ext4, XFS or Btrfs");
  }

  static void take_attributes(const File& file, const TarEntry& entry) {
    if (entry.uid != 0 || entry.gid != 0)
      set_attribute(file, owner_attribute, fmt::format("{}:{}", entry.uid, entry.gid), entry);
    for (const auto& [name, value] : entry.attributes) {
      const bool ours = name.starts_with("user.mlp.") || name.starts_with("user.overlay.");
      // What a file system has no room for is no loss: nobody relies on such attributes.
      if (name.starts_with("user.") && !ours && name.size() <= most_name)
        ::fsetxattr(file.fd(), name.c_str(), value.data(), value.size(), 0);
    }
  }

  TarReader& tar_;
  File root_;
  const std::function<void(std::uint64_t)>& advance_;
  std::vector<std::byte> buffer_;
  File parent_;
  std::string parent_path_;
  std::map<std::string, Folder> folders_; // what they get in the end
  UnpackedEntries counts_;
};

} // namespace

std::optional<LayerPath> parse_layer_path(std::string_view path) {
  constexpr std::string_view whiteout_prefix = ".wh.", own_prefix = ".wh..wh.",
                             opaque = ".wh..wh..opq";
  if (path.size() > most_path || path.find('\0') != std::string_view::npos) return std::nullopt;
  std::vector<std::string> parts;
  for (std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." || part.size() > most_name) return std::nullopt;
    parts.push_back(std::move(part));
  }
  LayerPath out;
  if (parts.empty()) return out;
  if (parts.size() > most_depth) return std::nullopt;
  out.name = std::move(parts.back());
  parts.pop_back();
  out.folder = join(parts, "/");
  // A folder cannot be named like a whiteout either.
  for (const std::string& part : parts)
    if (part.starts_with(whiteout_prefix)) out.kind = LayerPath::Kind::ignored;
  if (out.kind == LayerPath::Kind::ignored || !out.name.starts_with(whiteout_prefix)) return out;
  if (out.name == opaque) {
    out.kind = LayerPath::Kind::opaque;
  } else if (out.name.starts_with(own_prefix)) {
    out.kind = LayerPath::Kind::ignored; // what the union file system AUFS keeps for itself
  } else {
    out.kind = LayerPath::Kind::whiteout;
    out.name.erase(0, whiteout_prefix.size());
    if (out.name.empty() || out.name == "." || out.name == "..") return std::nullopt;
  }
  return out;
}

UnpackedEntries unpack_tree(TarReader& tar, const fs::path& folder,
                            const std::function<void(std::uint64_t)>& advance,
                            const std::stop_token& stop) {
  Unpacker unpacker(tar, folder, advance);
  while (const auto entry = tar.next()) {
    throw_if_stopped(stop);
    unpacker.add(*entry);
  }
  return unpacker.finish();
}

bool remove_tree(const fs::path& folder) {
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw system_error(errno, "remove", folder.native());
  }
  with_context(fmt::format("while removing '{}'", printable(folder.native())),
               [&] { remove_at(AT_FDCWD, folder.c_str(), 0); });
  return true;
}

} // namespace mlp::image
