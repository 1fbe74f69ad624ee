// Temporary file, fsync, rename, fsync of the folder. Writing back starts early, so that the sync
// at the end is short.
#include "core/data/pack_writer.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace mlp::data {

namespace {
constexpr std::size_t buffer_bytes = 1u << 20;
constexpr std::uint64_t write_back_bytes = 8u << 20;
} // namespace

PackWriter::PackWriter(const fs::path& store, PackKind kind) : store_(store), kind_(kind) {
  while (true) {
    temporary_ = store / "tmp" / random_token(16);
    const int fd = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) throw system_error(errno, "write", temporary_.native());
    file_ = File(fd);
    ::flock(fd, LOCK_EX);
    struct stat info {};
    if (::fstat(fd, &info) == 0 && info.st_nlink > 0) break; // else a cleaner came between
  }
  buffer_ = encode_pack_header(kind);
  size_ = buffer_.size();
}

PackWriter::~PackWriter() {
  if (!finished_) ::unlink(temporary_.c_str());
}

void PackWriter::append(PackEntry entry, ByteSpan stored) {
  entry.offset = size_;
  append_entry_header(entry, buffer_);
  buffer_.insert(buffer_.end(), stored.begin(), stored.end());
  size_ += entry_header_size + stored.size();
  entries_.push_back(entry);
  if (buffer_.size() >= buffer_bytes) flush();
}

void PackWriter::flush() {
  try {
    file_.write(buffer_);
  } catch (Error& error) {
    error.add_context(fmt::format("while writing a pack in '{}'", store_.native()));
    throw;
  }
  buffer_.clear();
  if (size_ - started_ >= write_back_bytes) {
    ::sync_file_range(file_.fd(), static_cast<off_t>(started_),
                      static_cast<off_t>(size_ - started_), SYNC_FILE_RANGE_WRITE);
    started_ = size_;
  }
}

Digest PackWriter::finish() {
  PackEnd end = encode_pack_end(kind_, entries_);
  buffer_.insert(buffer_.end(), end.bytes.begin(), end.bytes.end());
  flush();
  if (::fsync(file_.fd()) != 0) throw system_error(errno, "sync", temporary_.native());
  const fs::path target = store_ / pack_name(end.id);
  if (::rename(temporary_.c_str(), target.c_str()) != 0)
    throw system_error(errno, "write", target.native());
  finished_ = true;
  file_.close();
  sync_directory(target.parent_path());
  return end.id;
}

std::size_t remove_abandoned_packs(const fs::path& store) noexcept {
  std::size_t removed = 0;
  std::error_code code;
  for (fs::directory_iterator it(store / "tmp", code), end; !code && it != end;
       it.increment(code)) {
    const int fd = ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    const File file(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::unlink(it->path().c_str()) == 0) ++removed;
  }
  return removed;
}

} // namespace mlp::data
