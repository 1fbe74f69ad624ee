// What can be done is tried once, with files of no content, before the first real one.
#include "core/data/linked_files.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/data/bytes.hpp"
#include "core/data/file_restore.hpp"
#include "core/data/seal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace mlp::data {

namespace {

struct Word {
  LinkMode mode;
  std::string_view text;
};
constexpr Word words[] = {{LinkMode::automatic, "auto"},
                          {LinkMode::reflink, "reflink"},
                          {LinkMode::hardlink, "hardlink"},
                          {LinkMode::copy, "copy"}};

std::string name_of(const Entry& entry) {
  Bytes bytes;
  ByteWriter content(bytes);
  encode_content(entry.content, content);
  std::string name = sha256(bytes).hex();
  if (entry.type == EntryType::executable) name += 'x';
  return name;
}

bool is_intact(const File& file, const Entry& entry, const std::string& name) {
  return is_sealed(file, name) && file.size() == entry.content.size;
}

std::optional<File> open_intact(const Directory& bucket, const Entry& entry,
                                const std::string& name) {
  const int fd =
      ::openat(bucket.fd(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  File file(fd);
  if (!is_intact(file, entry, name)) return std::nullopt;
  return file;
}

// Makes the file of that name. One that another made meanwhile stays, so that a link to it always
// has the cache's for company; one that was edited is replaced.
File make(const Directory& cache, const Entry& entry, const std::string& name,
          const LinkedFiles::Restore& restore) {
  Entry temporary = entry;
  temporary.name = temporary_name();
  struct Removal {
    const Directory& cache;
    const std::string& name;
    ~Removal() { ::unlinkat(cache.fd(), name.c_str(), 0); }
  } removal{cache, temporary.name};
  (void)restore(cache, temporary);
  File file = cache.open_file(temporary.name);
  if (::fchmod(file.fd(), entry.type == EntryType::executable ? 0555 : 0444) != 0 ||
      !seal(file, name))
    throw system_error(errno, "write", cache.path_of(temporary.name));
  if (::linkat(cache.fd(), temporary.name.c_str(), cache.fd(), name.c_str(), 0) == 0) return file;
  if (errno != EEXIST) throw system_error(errno, "write", cache.path_of(name));
  if (auto there = open_intact(cache, entry, name)) return *std::move(there);
  if (::renameat(cache.fd(), temporary.name.c_str(), cache.fd(), name.c_str()) != 0)
    throw system_error(errno, "write", cache.path_of(name));
  return file;
}

// The device of a folder, or of the first above it that there is.
dev_t device_of(fs::path folder) {
  folder = fs::absolute(folder);
  struct stat info {};
  while (::stat(folder.c_str(), &info) != 0 && folder.has_relative_path())
    folder = folder.parent_path();
  return info.st_dev;
}

bool can_clone(const fs::path& folder) {
  const File source(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  const File target(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  return source.fd() >= 0 && target.fd() >= 0 && ::pwrite(source.fd(), "x", 1, 0) == 1 &&
         ::ioctl(target.fd(), FICLONE, source.fd()) == 0;
}

} // namespace

std::optional<LinkMode> parse_link_mode(std::string_view text) noexcept {
  for (const Word& word : words)
    if (word.text == text) return word.mode;
  return std::nullopt;
}

std::string_view link_mode_name(LinkMode mode) noexcept {
  for (const Word& word : words)
    if (word.mode == mode) return word.text;
  return "";
}

LinkedFiles::LinkedFiles(fs::path folder, const fs::path& root, LinkMode mode)
    : folder_(std::move(folder)), mode_(LinkMode::copy) {
  if (mode == LinkMode::copy) return;
  const bool chosen = mode != LinkMode::automatic;
  const auto refuse = [&](std::string_view reason) {
    return Error(ErrorKind::failed, fmt::format("cannot {} from the cache '{}' into '{}': {}",
                                                mode == LinkMode::reflink ? "reflink" : "hard link",
                                                folder_.native(), root.native(), reason));
  };
  try {
    make_directories(folder_);
  } catch (const Error&) {
    if (chosen) throw;
    return;
  }
  if (device_of(folder_) != device_of(root)) {
    if (chosen)
      throw refuse("they are on different file systems")
          .with_hint("put the cache on that file system: mlp config set data.cache FOLDER");
    return;
  }
  if (mode != LinkMode::hardlink && can_clone(folder_))
    mode_ = LinkMode::reflink;
  else if (mode == LinkMode::reflink)
    throw refuse("the file system cannot share blocks")
        .with_hint("btrfs, and XFS made with reflink=1, can; or use --link hardlink or copy");
  else if (mode == LinkMode::hardlink || ::geteuid() != 0)
    mode_ = LinkMode::hardlink;
}

std::shared_ptr<const Directory> LinkedFiles::bucket(const std::string& name) {
  const std::string digits = name.substr(0, 2);
  const std::lock_guard lock(mutex_);
  auto& directory = buckets_[digits];
  if (!directory) {
    make_directories(folder_ / digits);
    directory = Directory::open(folder_ / digits);
  }
  return directory;
}

FileStat LinkedFiles::place(const Directory& here, const Entry& entry, const Restore& restore,
                            const std::function<void(std::uint64_t)>& known) {
  const std::string name = name_of(entry);
  const auto cache = bucket(name);
  const std::string file_name = name.substr(2);
  auto file = open_intact(*cache, entry, file_name);
  if (file)
    known(entry.content.size);
  else
    file = make(*cache, entry, file_name, restore);
  auto placed = mode_ == LinkMode::reflink ? restore_clone(here, entry, *file)
                                           : restore_hard_link(here, entry, *cache, file_name);
  // Too many links, say: this one is a copy.
  return placed ? *placed : restore(here, entry);
}

} // namespace mlp::data
