// openat() with O_NOFOLLOW, one name at a time.
#include "core/data/directory.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mlp::data {

namespace {
constexpr std::string_view temporary_prefix = ".mlp-tmp-";

Error changed(const std::string& path) {
  return Error(ErrorKind::conflict,
               fmt::format("'{}' was replaced by something else meanwhile", path))
      .with_hint("run the command again when nothing changes the files");
}
} // namespace

std::string temporary_name() {
  return std::string(temporary_prefix) + random_token(16);
}

bool is_temporary_name(std::string_view name) {
  return name.starts_with(temporary_prefix) && name.size() == temporary_prefix.size() + 16;
}

std::shared_ptr<const Directory> Directory::open(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw system_error(errno, "read folder", path.native());
  return std::shared_ptr<const Directory>(new Directory(File(fd), path.native()));
}

std::shared_ptr<const Directory> Directory::open_child(const std::string& name) const {
  const int fd =
      ::openat(this->fd(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ELOOP || errno == ENOTDIR) throw changed(path_of(name));
    throw system_error(errno, "read folder", path_of(name));
  }
  return std::shared_ptr<const Directory>(new Directory(File(fd), path_of(name)));
}

std::string Directory::path_of(std::string_view name) const {
  return path_ + "/" + std::string(name);
}

std::vector<DirectoryItem> Directory::list(std::vector<std::string>* temporaries) const {
  // A descriptor of its own: a stream moves the position of the one that it is given.
  const int copy = ::openat(fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) throw system_error(errno, "read folder", path_);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy), &::closedir);
  if (!stream) throw system_error(errno, "read folder", path_);
  std::vector<DirectoryItem> items;
  errno = 0;
  while (const dirent* item = ::readdir(stream.get())) {
    const std::string_view name = item->d_name;
    if (is_temporary_name(name)) {
      if (temporaries != nullptr) temporaries->emplace_back(name);
    } else if (name != "." && name != "..") {
      items.push_back({std::string(name), {}});
    }
    errno = 0;
  }
  if (errno != 0) throw system_error(errno, "read folder", path_);
  std::sort(items.begin(), items.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  std::erase_if(items, [&](DirectoryItem& item) {
    if (::fstatat(fd(), item.name.c_str(), &item.info, AT_SYMLINK_NOFOLLOW) == 0) return false;
    if (errno == ENOENT) return true;
    throw system_error(errno, "read", path_of(item.name));
  });
  return items;
}

std::string Directory::read_link(const std::string& name) const {
  std::string target(4096, '\0');
  const ssize_t size = ::readlinkat(fd(), name.c_str(), target.data(), target.size());
  if (size < 0) throw system_error(errno, "read link", path_of(name));
  target.resize(static_cast<std::size_t>(size));
  return target;
}

File Directory::open_file(const std::string& name) const {
  const int fd = ::openat(this->fd(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ELOOP) throw changed(path_of(name));
    throw system_error(errno, "read", path_of(name));
  }
  File file(fd);
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) throw changed(path_of(name));
  return file;
}

} // namespace mlp::data
