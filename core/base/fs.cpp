// POSIX files with our errors; the order write, fsync, rename, fsync(folder) is what makes a
// replacement atomic and durable.
#include "core/base/fs.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

namespace mlp {

namespace {

constexpr std::size_t write_bytes = 1u << 20;

File open_file(const fs::path& path, int flags, unsigned mode, std::string_view action) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) throw system_error(errno, action, path.native());
  return File(fd, path.native());
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

} // namespace

File::~File() {
  close();
}
File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), name_(std::move(other.name_)) {}
File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    name_ = std::move(other.name_);
  }
  return *this;
}

File File::open_read(const fs::path& path) {
  return open_file(path, O_RDONLY, 0, "read");
}
File File::open_append(const fs::path& path, unsigned mode) {
  return open_file(path, O_WRONLY | O_CREAT | O_APPEND, mode, "write");
}
File File::create(const fs::path& path, unsigned mode) {
  return open_file(path, O_WRONLY | O_CREAT | O_TRUNC, mode, "create");
}

int File::release() noexcept {
  return std::exchange(fd_, -1);
}

void File::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::string File::name() const {
  return name_.empty() ? fmt::format("descriptor {}", fd_) : name_;
}

std::size_t File::read(std::span<std::byte> data) {
  while (true) {
    const ssize_t n = ::read(fd_, data.data(), data.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) throw system_error(errno, "read", name());
  }
}

std::size_t File::read_at(std::span<std::byte> data, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t n =
        ::pread(fd_, data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
    if (n == 0) break;
    if (n < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "read", name());
    }
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void File::write(std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd_, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "write", name());
    }
    data = data.subspan(static_cast<std::size_t>(n));
  }
}

void File::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void File::write_at(std::span<const std::span<const std::byte>> parts, std::uint64_t offset) const {
  std::vector<iovec> all;
  for (const auto part : parts) {
    if (!part.empty()) all.push_back({const_cast<std::byte*>(part.data()), part.size()});
  }
  for (std::span<iovec> left(all); !left.empty();) {
    // About 1 MiB at a time: 4 MiB at once was measured to take the kernel up to twice as long.
    std::size_t count = 0;
    for (std::size_t bytes = 0; count < std::min<std::size_t>(left.size(), IOV_MAX); ++count) {
      if (count > 0 && bytes + left[count].iov_len > write_bytes) break;
      bytes += left[count].iov_len;
    }
    const auto some = left.first(count);
    const ssize_t n =
        ::pwritev(fd_, some.data(), static_cast<int>(some.size()), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "write", name());
    }
    offset += static_cast<std::uint64_t>(n);
    auto done = static_cast<std::size_t>(n);
    for (; !left.empty() && done >= left.front().iov_len; left = left.subspan(1))
      done -= left.front().iov_len;
    if (done > 0) {
      left.front().iov_base = static_cast<std::byte*>(left.front().iov_base) + done;
      left.front().iov_len -= done;
    }
  }
}

void File::sync() {
  // EINVAL: a pipe or a special file, which has nothing to sync.
  if (::fdatasync(fd_) != 0 && errno != EINVAL) throw system_error(errno, "sync", name());
}

std::uint64_t File::size() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) throw system_error(errno, "stat", name());
  return static_cast<std::uint64_t>(info.st_size);
}

std::string read_file(const fs::path& path, std::uint64_t max_bytes) {
  // O_NONBLOCK: to open a named pipe would otherwise wait for its writer; it does nothing to files.
  File file = open_file(path, O_RDONLY | O_NONBLOCK, 0, "read");
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) throw system_error(errno, "read", path.native());
  if (S_ISDIR(info.st_mode)) throw system_error(EISDIR, "read", path.native());
  if (!S_ISREG(info.st_mode))
    throw Error(ErrorKind::failed,
                fmt::format("cannot read '{}': not a regular file", path.native()));
  const auto too_large = [&] {
    return Error(ErrorKind::failed,
                 fmt::format("cannot read '{}': larger than {} bytes", path.native(), max_bytes));
  };
  if (static_cast<std::uint64_t>(info.st_size) > max_bytes) throw too_large();
  std::string content(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t done = 0;
  while (true) { // /proc files report size 0, and a file may grow while it is read
    if (done == content.size()) content.resize(content.size() + content.size() / 2 + 4096);
    const std::size_t n = file.read(std::as_writable_bytes(std::span(content)).subspan(done));
    if (n == 0) break;
    done += n;
    if (done > max_bytes) throw too_large();
  }
  content.resize(done);
  return content;
}

std::optional<std::string> read_file_if_exists(const fs::path& path, std::uint64_t max_bytes) {
  try {
    return read_file(path, max_bytes);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::not_found) return std::nullopt;
    throw;
  }
}

namespace {

// A name beside the target's. Cut, so that it is allowed where the target's is the longest one.
fs::path temporary_of(const fs::path& target) {
  return parent_of(target) /
         fmt::format(".{}.{}", target.filename().native().substr(0, 200), random_token(10));
}

} // namespace

AtomicFile::AtomicFile(const fs::path& target, std::optional<unsigned> mode) : target_(target) {
  int fd = -1;
  for (int attempt = 0; fd < 0 && attempt < 8; ++attempt) {
    temporary_ = temporary_of(target);
    fd = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST && errno != EINTR) break;
  }
  if (fd < 0) throw system_error(errno, "write", target.native());
  file_ = File(fd, target.native());
  if (mode && ::fchmod(fd, *mode) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str()); // no destructor runs
    throw system_error(error, "set the mode of", target.native());
  }
}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::commit_as(const fs::path& target) {
  target_ = target;
  commit();
}

void AtomicFile::commit() {
  file_.sync();
  file_.close();
  if (::rename(temporary_.c_str(), target_.c_str()) != 0)
    throw system_error(errno, "write", target_.native());
  committed_ = true;
  sync_directory(parent_of(target_));
}

void write_file_atomic(const fs::path& path, std::string_view content,
                       std::optional<unsigned> mode) {
  AtomicFile file(path, mode);
  file.file().write(content);
  file.commit();
}

void make_directories(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code) throw system_error(code.value(), "create folder", path.native());
}

void sync_directory(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

namespace {

// A file without a name in `folder` that shares the blocks of the source, synced. Not open if the
// file system cannot.
File clone_of(int source, const fs::path& folder) {
  File clone(::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0444), folder.native());
  if (!clone.is_open() || ::ioctl(clone.fd(), FICLONE, source) != 0) return {};
  clone.sync();
  return clone;
}

// Whether a link of the file in that folder can be read by whom a new file there could be.
bool is_as_open(int source, const fs::path& folder) {
  struct stat file {
  }, directory{};
  if (::fstat(source, &file) != 0 || ::stat(folder.c_str(), &directory) != 0) return false;
  const bool others = (file.st_mode & S_IROTH) != 0;
  const bool group = (directory.st_mode & S_ISGID) == 0 || file.st_gid == directory.st_gid;
  return others || group;
}

} // namespace

bool link_file(const fs::path& source, const fs::path& target) {
  const fs::path folder = parent_of(target);
  const File file(::open(source.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.is_open()) return false;
  const File clone = clone_of(file.fd(), folder);
  if (!clone.is_open() && !is_as_open(file.fd(), folder)) return false;
  const std::string from =
      clone.is_open() ? fmt::format("/proc/self/fd/{}", clone.fd()) : source.native();
  const auto link_as = [&](const fs::path& name) {
    return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, name.c_str(),
                    clone.is_open() ? AT_SYMLINK_FOLLOW : 0) == 0;
  };
  bool linked = link_as(target);
  if (!linked && errno == EEXIST) {
    const fs::path temporary = temporary_of(target);
    linked = link_as(temporary) && ::rename(temporary.c_str(), target.c_str()) == 0;
    const int error = errno;
    ::unlink(temporary.c_str()); // there still if the two were links of one file
    errno = error;
  }
  if (!linked) {
    if (errno == EXDEV || errno == EPERM || errno == EACCES || errno == EMLINK ||
        errno == EOPNOTSUPP || errno == ENOENT)
      return false;
    throw system_error(errno, "write", target.native());
  }
  sync_directory(folder);
  return true;
}

bool remove_all(const fs::path& path) {
  std::error_code code;
  const auto count = fs::remove_all(path, code);
  if (code) throw system_error(code.value(), "remove", path.native());
  return count > 0;
}

FileLock::FileLock(const fs::path& path, std::string_view what, std::chrono::milliseconds timeout,
                   bool shared, const std::stop_token& stop) {
  file_ = open_file(path, O_RDWR | O_CREAT, 0644, "lock");
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (::flock(file_.fd(), (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw system_error(errno, "lock", path.native());
    throw_if_stopped(stop);
    if (std::chrono::steady_clock::now() >= deadline)
      throw Error(ErrorKind::conflict, fmt::format("{} is in use by another mlp command", what))
          .with_hint("wait for it to end, then run this command again");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

std::optional<FileLock> FileLock::try_lock(const fs::path& path) {
  File file = open_file(path, O_RDWR | O_CREAT, 0644, "lock");
  if (::flock(file.fd(), LOCK_EX | LOCK_NB) == 0) return FileLock(std::move(file));
  if (errno != EWOULDBLOCK && errno != EINTR) throw system_error(errno, "lock", path.native());
  return std::nullopt;
}

std::optional<std::string> unsafe_path_reason(std::string_view path) {
  if (path.empty()) return "it is empty";
  if (path.size() > 4096) return "it is longer than 4096 bytes";
  if (path.front() == '/') return "it is absolute";
  std::size_t start = 0;
  while (start <= path.size()) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, end - start);
    if (part.empty()) return "it has an empty component";
    if (part == "." || part == "..") return "it has a '.' or '..' component";
    if (part.size() > 255) return "a component is longer than 255 bytes";
    if (part.find_first_of(std::string_view("\0\\", 2)) != std::string_view::npos)
      return "it holds a NUL or a backslash";
    start = end + 1;
  }
  return std::nullopt;
}

TemporaryDirectory::TemporaryDirectory(std::string_view prefix, const fs::path& parent) {
  fs::path base = parent;
  if (base.empty()) {
    std::error_code code;
    base = fs::temp_directory_path(code);
    if (code)
      throw system_error(code.value(), "use the temporary folder",
                         get_env("TMPDIR").value_or("/tmp"))
          .with_hint("set TMPDIR to a folder that exists");
  }
  std::string name = base / fmt::format("{}XXXXXX", prefix);
  if (::mkdtemp(name.data()) == nullptr) throw system_error(errno, "create folder", name);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

} // namespace mlp
