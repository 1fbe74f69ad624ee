// Two files side by side; the ETag is there before the first byte of its version.
#include "core/net/part_file.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace mlp::net {

PartFile::PartFile(const fs::path& target) : path_(target), etag_path_(target) {
  path_ += ".part";
  etag_path_ += ".part.etag";
  const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) throw system_error(errno, "write", path_.native());
  file_ = File(fd, path_.native());
  size_ = file_.size();
  etag_ = read_file_if_exists(etag_path_, 1024).value_or("");
  if (etag_.empty()) restart("");
  if (::lseek(fd, 0, SEEK_END) < 0) throw system_error(errno, "read", path_.native());
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
