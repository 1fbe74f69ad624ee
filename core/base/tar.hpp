// Tar archives as a stream.
// Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar
// manual, "Basic Tar Format" (long names of type L and K, numbers in base 256) and "Storing Sparse
// Files", which are read only; star(5), SCHILY.xattr.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlp {

struct TarEntry {
  enum class Kind { file, folder, link, hard_link, character_device, block_device, fifo };
  Kind kind = Kind::file;
  std::string path; // relative; a reader hands out what there is, without "./" and "/" at its ends
  std::string target;        // of a link, or the path of the entry that a hard link shares
  std::uint64_t size = 0;    // of a file, in bytes
  std::int64_t modified = 0; // seconds since 1970
  unsigned mode = 0;         // permissions, 07777 at most
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t device_major = 0, device_minor = 0;
  // Extended attributes: name, value; sorted by name.
  std::vector<std::pair<std::string, std::string>> attributes = {};
  bool sparse = false; // a reader's: there are holes in the file, which read as zeros
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

// Trusts nothing. Paths, targets, numbers and attributes are handed out as they are, so their user
// judges them. Memory: 64 KiB, and 1 MiB for the map of a sparse file. Not thread-safe.
class TarReader {
 public:
  // Up to so many bytes; 0 at the end.
  using Source = std::function<std::size_t(std::span<std::byte>)>;
  // Errors name the archive as `name`.
  TarReader(Source source, std::string name);

  // The next entry; nullopt at the end of the archive. What was not read of the last file is
  // skipped. Throws Error(integrity) for what is no tar archive, is cut off or holds an entry of
  // an unknown type, and what `source` throws.
  std::optional<TarEntry> next();
  // More of the file's content; 0 at its end.
  std::size_t read(std::span<std::byte> data);

 private:
  struct Records; // what stands before an entry's header
  struct Piece {  // of a sparse file that is no hole
    std::uint64_t offset, size;
  };
  [[noreturn]] void fail(std::string_view what) const;
  void fill(std::span<std::byte> data);
  void skip(std::uint64_t bytes);
  std::string small_content(std::uint64_t size);
  void take_records(const std::string& text, Records& records) const;
  void take_record(std::string_view key, std::string_view value, Records& records) const;
  std::uint64_t record_number(std::string_view text) const;
  void add_piece(std::uint64_t offset, std::uint64_t size);
  void read_old_map(std::span<const char> header);
  void read_map(std::uint64_t& stored);
  void check_pieces(std::uint64_t stored, std::uint64_t size) const;

  Source source_;
  std::string name_;
  std::uint64_t left_ = 0, padding_ = 0; // of what is stored of the file that is being read
  std::uint64_t at_ = 0, size_ = 0;      // in the file, as it was before it was stored
  std::vector<Piece> pieces_;            // of a sparse file; of others: one, all of it
  std::size_t piece_ = 0;
};

} // namespace mlp
