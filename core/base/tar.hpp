// Tar archives as a stream: files, folders and symbolic links, no more.
// Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar
// manual, "Basic Tar Format" (long names of type L and K, numbers in base 256), which are read
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mlp {

struct TarEntry {
  enum class Kind { file, folder, link };
  Kind kind = Kind::file;
  std::string path; // relative; a reader hands out what there is, without "./" and "/" at its ends
  std::string target;        // of a link
  std::uint64_t size = 0;    // of a file
  std::int64_t modified = 0; // seconds since 1970
  bool executable = false;
};

// Not thread-safe. The same entries give the same bytes.
class TarWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  explicit TarWriter(Sink sink) : sink_(std::move(sink)) {}

  // A file's content follows by data(), as much as `entry.size` says, before the next entry.
  void entry(const TarEntry& entry);
  void data(std::string_view part);
  // The end of the archive.
  void end();

 private:
  void header(const TarEntry& entry, char type, std::string_view path, std::uint64_t size);
  void extended(const TarEntry& entry);

  Sink sink_;
  std::uint64_t left_ = 0, padding_ = 0; // of the file that is being written
};

// Trusts nothing. Every entry that is neither file, folder nor symbolic link is refused; paths and
// targets are handed out as they are, so their user judges them. Memory: 64 KiB. Not thread-safe.
class TarReader {
 public:
  // Up to so many bytes; 0 at the end.
  using Source = std::function<std::size_t(std::span<std::byte>)>;
  // Errors name the archive as `name`.
  TarReader(Source source, std::string name);

  // The next entry; nullopt at the end of the archive. What was not read of the last file is
  // skipped. Throws Error(integrity) for what is no tar archive, is cut off or holds something
  // else, and what `source` throws.
  std::optional<TarEntry> next();
  // More of the file's content; 0 at its end.
  std::size_t read(std::span<std::byte> data);

 private:
  [[noreturn]] void fail(std::string_view what) const;
  void fill(std::span<std::byte> data);
  void skip(std::uint64_t bytes);
  std::string small_content(std::uint64_t size);
  void take_records(const std::string& records, TarEntry& entry,
                    std::optional<std::uint64_t>& size);

  Source source_;
  std::string name_;
  std::uint64_t left_ = 0, padding_ = 0;
};

} // namespace mlp
