// Temporary file, fsync, rename, fsync of the folder. Writing back starts early, so that the sync
// at the end is short.
#include "core/data/pack_writer.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/data/seal.hpp"

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
constexpr std::uint64_t direct_bytes = 256u << 10; // from here on not through the buffer
} // namespace

PackWriter::PackWriter(const fs::path& store, PackKind kind) : store_(store), kind_(kind) {
  while (true) {
    temporary_ = store / "tmp" / random_token(16);
    const int fd = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) throw system_error(errno, "write", temporary_.native());
    file_ = File(fd, temporary_.native());
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

// A part that is missing would put all that follows at offsets where it does not lie.
void PackWriter::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = error;
}

void PackWriter::throw_if_failed() {
  const std::lock_guard lock(mutex_);
  if (failure_) throw Error(*failure_);
}

bool PackWriter::place(std::span<PackEntry> entries, std::span<const ByteSpan> stored) {
  throw_if_failed();
  std::uint64_t bytes = 0;
  for (PackEntry& entry : entries) {
    entry.offset = size_ + bytes;
    bytes += entry_header_size + entry.stored_size;
  }
  const bool direct = bytes >= direct_bytes;
  if (direct) flush(); // what comes before
  entries_.insert(entries_.end(), entries.begin(), entries.end());
  size_ += bytes;
  if (direct) {
    const std::lock_guard lock(mutex_);
    ++writing_;
    return true;
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    append_entry_header(entries[i], buffer_);
    buffer_.insert(buffer_.end(), stored[i].begin(), stored[i].end());
  }
  if (buffer_.size() >= buffer_bytes) flush();
  return false;
}

void PackWriter::write(std::span<const PackEntry> entries, std::span<const ByteSpan> stored) {
  const auto done = [&] {
    const std::lock_guard lock(mutex_);
    --writing_;
    written_.notify_all();
  };
  try {
    Bytes headers;
    headers.reserve(entries.size() * entry_header_size);
    for (const PackEntry& entry : entries)
      append_entry_header(entry, headers);
    std::vector<ByteSpan> parts;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      parts.push_back(ByteSpan(headers).subspan(i * entry_header_size, entry_header_size));
      parts.push_back(stored[i]);
    }
    write_parts(parts, entries.front().offset);
  } catch (const Error&) { // fail() has it
    done();
    throw;
  } catch (const std::exception& error) {
    fail(Error(ErrorKind::failed, error.what()));
    done();
    throw;
  }
  done();
}

void PackWriter::append(PackEntry entry, ByteSpan stored) {
  const std::span<PackEntry> entries(&entry, 1);
  const std::span<const ByteSpan> bytes(&stored, 1);
  if (place(entries, bytes)) write(entries, bytes);
}

void PackWriter::flush() {
  if (buffer_.empty()) return;
  const ByteSpan part(buffer_);
  write_parts({&part, 1}, size_ - buffer_.size());
  buffer_.clear();
}

void PackWriter::write_parts(std::span<const ByteSpan> parts, std::uint64_t offset) {
  // One at a time: threads that write to one file would spin on the kernel's lock of it.
  const std::lock_guard lock(file_mutex_);
  try {
    with_context(fmt::format("while writing a pack in '{}'", store_.native()),
                 [&] { file_.write_at(parts, offset); });
  } catch (const Error& error) {
    fail(error);
    throw;
  }
  for (const ByteSpan part : parts)
    unstarted_ += part.size();
  if (unstarted_ < write_back_bytes) return;
  // So that the sync at the end is short: all that is not on its way to the disk yet.
  ::sync_file_range(file_.fd(), 0, 0, SYNC_FILE_RANGE_WRITE);
  unstarted_ = 0;
}

Digest PackWriter::finish() {
  throw_if_failed();
  PackEnd end = encode_pack_end(kind_, entries_);
  buffer_.insert(buffer_.end(), end.bytes.begin(), end.bytes.end());
  size_ += end.bytes.size();
  flush();
  {
    std::unique_lock lock(mutex_);
    written_.wait(lock, [&] { return writing_ == 0; });
  }
  throw_if_failed();
  // Where the file system takes no mark the pack is read again when it is shared.
  (void)seal(file_, end.id.hex());
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
