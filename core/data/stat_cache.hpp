// What a dataset's files were when they were last read: their stat data and their content. A file
// whose stat data is the same need not be read again.
//
// Safe against edits that leave no trace in the stat data because they fall into the same tick of
// the file system's clock: a record is trusted only if the file was already older than a tick when
// its reading began (the "racy git" rule), or if it was restored here with a time in the past.
//
// One file a dataset, a stream in the order of the walk, so that it is read and written beside the
// walk with little memory. It can be deleted at any time.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/manifest.hpp"

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace mlp::data {

struct FileStat {
  std::uint64_t size = 0;
  std::int64_t mtime = 0; // nanoseconds
  std::int64_t ctime = 0; // the mtime, for a read-only file with several hard links
  std::uint64_t inode = 0;
  bool operator==(const FileStat&) const = default;
};
[[nodiscard]] FileStat to_file_stat(const struct stat& info) noexcept;
[[nodiscard]] EntryType file_type(const struct stat& info) noexcept; // file or executable

// True if an edit after `now` (nanoseconds since the epoch) must change the ctime of a file whose
// ctime is `ctime`. File systems that keep whole seconds are known by it.
[[nodiscard]] bool is_settled(std::int64_t ctime, std::int64_t now) noexcept;
[[nodiscard]] std::int64_t now_nanoseconds() noexcept;

struct CachedFile {
  EntryType type = EntryType::file; // file, executable or symlink
  FileStat stat;
  bool trusted = false;  // the stat data proves the content
  bool recorded = false; // the content was in a version: it is in the store, nothing is lost by
                         // overwriting it
  Content content;       // not for a symlink
  std::string target;    // symlink
};

// Walks the cache beside a walk of the files: names must be asked for in ascending byte order
// within each directory. Not thread-safe.
class StatCacheReader {
 public:
  // A missing or damaged file, or one of another store (`token`), is an empty cache.
  StatCacheReader(const fs::path& path, std::string_view token);
  ~StatCacheReader();
  StatCacheReader(StatCacheReader&&) = delete;

  // The record of a file or symlink in the current directory.
  [[nodiscard]] std::optional<CachedFile> find(std::string_view name);
  // Enters a directory; an unknown one is empty. True if it was known.
  bool enter(std::string_view name);
  void leave();

  // True if there is a cache, and `kept` is true for all objects that it names. To be called
  // instead of the others.
  [[nodiscard]] bool names_only(const std::function<bool(const Digest&)>& kept);

 private:
  struct Peeked;
  bool seek(std::string_view name);
  void peek();
  void skip();

  const std::byte* map_ = nullptr;
  std::size_t size_ = 0;
  std::unique_ptr<ByteReader> in_;
  std::unique_ptr<Peeked> next_;
  std::size_t unknown_ = 0; // directories entered that the cache does not know
};

// Not thread-safe. Nothing is kept without commit().
class StatCacheWriter {
 public:
  StatCacheWriter(const fs::path& path, std::string_view token);
  ~StatCacheWriter();
  void file(std::string_view name, const CachedFile& file);
  void enter(std::string_view name);
  void leave();
  void commit();

 private:
  void flush(bool all);
  struct Output;
  std::unique_ptr<Output> output_;
};

} // namespace mlp::data
