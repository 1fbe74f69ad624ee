// fallocate(2) with FALLOC_FL_PUNCH_HOLE; whole blocks only, so that no zero is ever read as text.
#include "core/job/log_bound.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

namespace mlp::job {

namespace {

constexpr std::uint64_t block = 64 * 1024; // a multiple of every file system's

} // namespace

LogBound::LogBound(fs::path path, std::uint64_t limit) : path_(std::move(path)), limit_(limit) {}

void LogBound::keep() noexcept {
  struct stat info {};
  if (limit_ == 0 || !problem_.empty() || ::stat(path_.c_str(), &info) != 0) return;
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size - std::min(size, left_out()) <= limit_) return;
  const std::uint64_t head = limit_ / 16;
  // Half of the end goes at once, so that this is rare.
  const std::uint64_t tail = (limit_ - head) / 2;
  const std::uint64_t from = end_ != 0 ? end_ : (head + block - 1) / block * block;
  const std::uint64_t to = size - std::min(size, tail);
  const std::uint64_t end = to / block * block;
  if (end <= from) return;
  const File file(::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.is_open() ||
      ::fallocate(file.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                  static_cast<off_t>(end - from)) != 0) {
    problem_ = std::strerror(errno);
    return;
  }
  if (begin_ == 0) begin_ = from;
  end_ = end;
}

LogPart read_log(const File& log, std::uint64_t offset, std::size_t limit) {
  LogPart part;
  const auto data_from = [&](std::uint64_t from) {
    const off_t found = ::lseek(log.fd(), static_cast<off_t>(from), SEEK_DATA);
    if (found >= 0) return static_cast<std::uint64_t>(found);
    return errno == ENXIO ? std::max(from, log.size()) : from;
  };
  part.begin = data_from(offset);
  while (true) {
    const off_t hole = ::lseek(log.fd(), static_cast<off_t>(part.begin), SEEK_HOLE);
    std::size_t size = limit;
    if (hole > static_cast<off_t>(part.begin))
      size = std::min<std::size_t>(size, static_cast<std::uint64_t>(hole) - part.begin);
    part.text.resize(size);
    part.text.resize(log.read_at(
        std::as_writable_bytes(std::span(part.text.data(), part.text.size())), part.begin));
    // What was cut out while it was read would be zeros.
    const std::uint64_t now = data_from(part.begin);
    if (now == part.begin || part.text.empty()) break;
    part.begin = now;
  }
  part.more = part.begin + part.text.size() < log.size();
  return part;
}

} // namespace mlp::job
