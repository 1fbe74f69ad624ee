// Restoring files: openat with O_EXCL and O_NOFOLLOW, write, futimens, renameat.
#include "core/data/file_restore.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/manifest_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <mutex>

namespace mlp::data {

namespace {

constexpr std::uint64_t block_bytes = 4u << 20;
constexpr std::size_t max_blocks = 24;

class TemporaryFile {
 public:
  TemporaryFile(const Directory& directory, const Entry& entry)
      : directory_(directory), entry_(entry), name_(temporary_name()) {
    const unsigned mode = entry.type == EntryType::executable ? 0777 : 0666;
    const int fd = ::openat(directory.fd(), name_.c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) throw system_error(errno, "write", directory.path_of(entry.name));
    file_ = File(fd, directory.path_of(entry.name));
    ::flock(fd, LOCK_EX); // tells remove_dead_temporaries() that its writer lives
  }
  ~TemporaryFile() {
    if (!done_) ::unlinkat(directory_.fd(), name_.c_str(), 0);
  }
  TemporaryFile(TemporaryFile&&) = delete;

  void write_at(std::span<const ByteSpan> parts, std::uint64_t offset) {
    const std::lock_guard lock(mutex_); // threads would spin on the kernel's lock of the file
    file_.write_at(parts, offset);
  }

  [[nodiscard]] bool clone(const File& source) const {
    return ::ioctl(file_.fd(), FICLONE, source.fd()) == 0;
  }

  FileStat commit() {
    struct timespec times[2] = {};
    ::clock_gettime(CLOCK_REALTIME, &times[1]);
    times[0] = times[1];
    times[1].tv_sec -= 1;
    struct stat info {};
    if (::futimens(file_.fd(), times) != 0 ||
        ::renameat(directory_.fd(), name_.c_str(), directory_.fd(), entry_.name.c_str()) != 0 ||
        ::fstat(file_.fd(), &info) != 0)
      throw system_error(errno, "write", directory_.path_of(entry_.name));
    done_ = true;
    return to_file_stat(info);
  }

 private:
  const Directory& directory_;
  const Entry& entry_;
  std::string name_;
  File file_;
  std::mutex mutex_;
  bool done_ = false;
};

// Chunks that lie one behind the other in the file, from `offset` on.
void write_chunks(TemporaryFile& file, std::uint64_t offset, std::span<const Ref> refs,
                  ObjectStore& store, Progress& progress) {
  thread_local ObjectBatch batch;
  std::vector<Location> locations;
  std::vector<PackEntry> entries;
  for (const Ref& ref : refs) {
    locations.push_back(store.locate(ref.id));
    entries.push_back(locations.back().entry);
  }
  for (std::size_t first = 0, count = 0; first < refs.size(); first += count) {
    count = one_batch(std::span(entries).subspan(first));
    store.read_each(std::span(locations).subspan(first, count), batch);
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (batch.plain[i].size() != refs[first + i].size)
        throw Error(ErrorKind::integrity, "damaged manifest: a chunk has another size");
      bytes += refs[first + i].size;
    }
    file.write_at(batch.plain, offset);
    progress.advance(bytes);
    offset += bytes;
  }
}

template <class Body>
auto named(const Directory& directory, const Entry& entry, Body&& body) {
  return with_context(fmt::format("while restoring '{}'", directory.path_of(entry.name)), body);
}

} // namespace

FileStat restore_small(const Directory& directory, const Entry& entry, ObjectStore& store,
                       Progress& progress) {
  return named(directory, entry, [&] {
    TemporaryFile file(directory, entry);
    ContentReader reader(store, entry.content);
    std::vector<Ref> refs;
    while (auto ref = reader.next())
      refs.push_back(*ref);
    write_chunks(file, 0, refs, store, progress);
    return file.commit();
  });
}

FileStat restore_large(const Directory& directory, const Entry& entry, ObjectStore& store,
                       Progress& progress, TaskPool& pool, const std::stop_token& stop) {
  return named(directory, entry, [&] {
    auto file = std::make_shared<TemporaryFile>(directory, entry);
    std::deque<std::future<void>> blocks;
    // Tasks use `file`: none may be left when it goes.
    struct Drain {
      std::deque<std::future<void>>& blocks;
      ~Drain() {
        for (auto& block : blocks)
          block.wait();
      }
    } drain{blocks};
    ContentReader reader(store, entry.content);
    std::uint64_t offset = 0;
    for (bool end = false; !end;) {
      throw_if_stopped(stop);
      std::vector<Ref> refs;
      std::uint64_t size = 0;
      while (size < block_bytes) {
        auto ref = reader.next();
        end = !ref;
        if (end) break;
        size += ref->size;
        refs.push_back(*ref);
      }
      if (blocks.size() >= max_blocks) {
        auto block = std::move(blocks.front());
        blocks.pop_front();
        block.get();
      }
      blocks.push_back(pool.submit([file, offset, refs = std::move(refs), &store, &progress] {
        write_chunks(*file, offset, refs, store, progress);
      }));
      offset += size;
    }
    while (!blocks.empty()) {
      auto block = std::move(blocks.front());
      blocks.pop_front();
      block.get();
    }
    return file->commit();
  });
}

std::optional<FileStat> restore_clone(const Directory& directory, const Entry& entry,
                                      const File& source) {
  return named(directory, entry, [&]() -> std::optional<FileStat> {
    TemporaryFile file(directory, entry);
    if (!file.clone(source)) return std::nullopt;
    return file.commit();
  });
}

std::optional<FileStat> restore_hard_link(const Directory& directory, const Entry& entry,
                                          const Directory& source, const std::string& name) {
  const std::string temporary = temporary_name();
  if (::linkat(source.fd(), name.c_str(), directory.fd(), temporary.c_str(), 0) != 0)
    return std::nullopt;
  struct stat info {};
  const bool placed =
      ::renameat(directory.fd(), temporary.c_str(), directory.fd(), entry.name.c_str()) == 0 &&
      ::fstatat(directory.fd(), entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  const int code = errno;
  // Where the name was a link to the same file, a rename does nothing and leaves this one.
  ::unlinkat(directory.fd(), temporary.c_str(), 0);
  if (!placed) throw system_error(code, "write", directory.path_of(entry.name));
  return to_file_stat(info);
}

FileStat restore_link(const Directory& directory, const Entry& entry) {
  const std::string name = temporary_name();
  if (::symlinkat(entry.target.c_str(), directory.fd(), name.c_str()) != 0)
    throw system_error(errno, "create link", directory.path_of(entry.name));
  if (::renameat(directory.fd(), name.c_str(), directory.fd(), entry.name.c_str()) != 0) {
    const int code = errno;
    ::unlinkat(directory.fd(), name.c_str(), 0);
    throw system_error(code, "create link", directory.path_of(entry.name));
  }
  struct stat info {};
  if (::fstatat(directory.fd(), entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    throw system_error(errno, "read", directory.path_of(entry.name));
  return to_file_stat(info);
}

void remove_dead_temporaries(const Directory& directory, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    struct stat info {};
    if (::fstatat(directory.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISLNK(info.st_mode)) {
      ::unlinkat(directory.fd(), name.c_str(), 0);
      continue;
    }
    const int fd =
        ::openat(directory.fd(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) continue;
    const File file(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlinkat(directory.fd(), name.c_str(), 0);
  }
}

} // namespace mlp::data
