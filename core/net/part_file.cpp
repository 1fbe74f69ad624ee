// Two files side by side; the ETag is there before the first byte of its version.
#include "core/net/part_file.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace mlp::net {

namespace {

// Locked: two processes that write at once would mix the bytes of the two.
File open_locked(const fs::path& path) {
  for (;;) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) throw system_error(errno, "write", path.native());
    File file(fd, path.native());
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) throw system_error(errno, "lock", path.native());
      throw Error(ErrorKind::conflict,
                  fmt::format("another mlp command is writing '{}'", path.native()))
          .with_hint("wait for it to end");
    }
    struct stat ours {
    }, named{};
    if (::fstat(fd, &ours) != 0) throw system_error(errno, "read", path.native());
    // Else the one that held the lock has made the file its target since.
    if (::lstat(path.c_str(), &named) == 0 && named.st_dev == ours.st_dev &&
        named.st_ino == ours.st_ino)
      return file;
  }
}

} // namespace

PartFile::PartFile(const fs::path& target) : path_(target), etag_path_(target) {
  path_ += ".part";
  etag_path_ += ".part.etag";
  file_ = open_locked(path_);
  size_ = file_.size();
  etag_ = read_file_if_exists(etag_path_, 1024).value_or("");
  if (etag_.empty()) restart("");
  if (::lseek(file_.fd(), 0, SEEK_END) < 0) throw system_error(errno, "read", path_.native());
}

void PartFile::restart(const std::string& etag) {
  if (::ftruncate(file_.fd(), 0) != 0 || ::lseek(file_.fd(), 0, SEEK_SET) < 0)
    throw system_error(errno, "write", path_.native());
  size_ = 0;
  etag_ = etag;
  if (etag.empty())
    mlp::remove_all(etag_path_);
  else
    write_file_atomic(etag_path_, etag);
}

void PartFile::append(std::span<const std::byte> data) {
  file_.write(data);
  size_ += data.size();
}

Digest PartFile::hash(const std::stop_token& stop) const {
  Sha256 hash;
  std::vector<std::byte> block(std::size_t{1} << 20);
  for (std::uint64_t at = 0; at < size_;) {
    throw_if_stopped(stop);
    const std::size_t n = file_.read_at(block, at);
    if (n == 0) break;
    hash.update(std::span(block).first(n));
    at += n;
  }
  return hash.finish();
}

void PartFile::become(const fs::path& target) {
  file_.sync();
  if (::rename(path_.c_str(), target.c_str()) != 0)
    throw system_error(errno, "write", target.native());
  sync_directory(target.has_parent_path() ? target.parent_path() : fs::path("."));
  mlp::remove_all(etag_path_);
}

void PartFile::remove() {
  mlp::remove_all(path_);
  mlp::remove_all(etag_path_);
}

} // namespace mlp::net
