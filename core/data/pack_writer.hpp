// A pack being written to a temporary file that its writer holds locked, so that what a dead writer
// left can be told from what a live one writes.
#pragma once

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/data/pack.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace mlp::data {

// Not thread-safe but for write(). Destruction without finish() removes the file.
class PackWriter {
 public:
  // Creates <store>/tmp/<random>. Throws Error.
  PackWriter(const fs::path& store, PackKind kind);
  ~PackWriter();
  PackWriter(PackWriter&&) = delete;

  // Adds the entries, whose offsets it sets. True: the bytes, which are many, are still to be
  // written, by a write() of the same spans, that other calls need not wait for. Else they were
  // taken.
  [[nodiscard]] bool place(std::span<PackEntry> entries, std::span<const ByteSpan> stored);
  void write(std::span<const PackEntry> entries, std::span<const ByteSpan> stored);
  // Both, for one.
  void append(PackEntry entry, ByteSpan stored);
  [[nodiscard]] bool full() const {
    return size_ >= target_pack_bytes || entries_.size() >= target_pack_entries;
  }
  [[nodiscard]] PackKind kind() const { return kind_; }
  [[nodiscard]] const std::vector<PackEntry>& entries() const { return entries_; }

  // Waits for every write(), writes index and footer, syncs, and renames to
  // <store>/packs/<id>.pack. Returns the id; the entries are then in order of id. After anything
  // could not be written, this and place() throw the error of that.
  Digest finish();

 private:
  void fail(const Error& error);
  void throw_if_failed();
  void flush();
  void write_parts(std::span<const ByteSpan> parts, std::uint64_t offset);

  fs::path store_;
  fs::path temporary_;
  PackKind kind_;
  File file_;
  Bytes buffer_;
  std::vector<PackEntry> entries_;
  std::uint64_t size_ = 0; // header and entries
  bool finished_ = false;

  std::mutex file_mutex_;
  std::uint64_t unstarted_ = 0; // written since the kernel was last asked to write back
  std::mutex mutex_;            // over what follows
  std::condition_variable written_;
  int writing_ = 0; // placed, and not written yet
  std::optional<Error> failure_;
};

// Removes the temporary files of dead writers from <store>/tmp. Never throws; returns how many.
std::size_t remove_abandoned_packs(const fs::path& store) noexcept;

} // namespace mlp::data
