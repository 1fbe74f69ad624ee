// A pack being written to a temporary file that its writer holds locked, so that what a dead writer
// left can be told from what a live one writes.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/pack.hpp"

#include <vector>

namespace mlp::data {

// Not thread-safe. Destruction without finish() removes the file.
class PackWriter {
 public:
  // Creates <store>/tmp/<random>. Throws Error.
  PackWriter(const fs::path& store, PackKind kind);
  ~PackWriter();
  PackWriter(PackWriter&&) = delete;

  // Sets the entry's offset. The bytes are buffered.
  void append(PackEntry entry, ByteSpan stored);
  [[nodiscard]] bool full() const {
    return size_ >= target_pack_bytes || entries_.size() >= target_pack_entries;
  }
  [[nodiscard]] PackKind kind() const { return kind_; }
  [[nodiscard]] const std::vector<PackEntry>& entries() const { return entries_; }

  // Writes index and footer, syncs, and renames to <store>/packs/<id>.pack. Returns the id; the
  // entries are then in order of id.
  Digest finish();

 private:
  void flush();

  fs::path store_;
  fs::path temporary_;
  PackKind kind_;
  File file_;
  Bytes buffer_;
  std::vector<PackEntry> entries_;
  std::uint64_t size_ = 0;    // header and entries
  std::uint64_t started_ = 0; // up to here the kernel has been asked to write back
  bool finished_ = false;
};

// Removes the temporary files of dead writers from <store>/tmp. Never throws; returns how many.
std::size_t remove_abandoned_packs(const fs::path& store) noexcept;

} // namespace mlp::data
