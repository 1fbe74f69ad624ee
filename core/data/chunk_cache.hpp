// A bounded cache on disk of objects that came from a remote: what a mount has read once it reads
// again without the remote.
//
//   <20 digits>.cache   a pack without its end (docs/formats.md): header, then entries one after
//                       the other in the order in which they came; the oldest file goes first
//
// Nothing is synced and nothing is trusted: a file is known by the headers of its entries up to the
// first that makes no sense, and an object is checked against its digest whenever it is read. So a
// crash, or a second process, costs at most what it was writing.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/pack.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace mlp::data {

// Thread-safe. Several processes may use one folder; each sees what the others had written when it
// opened it, and all keep to the limit.
class ChunkCache {
 public:
  // Creates the folder and reads the headers of what is there. Throws Error. `limit` is in bytes,
  // on disk; 0 keeps nothing. So that memory stays small, it holds a million objects at most.
  ChunkCache(fs::path directory, std::uint64_t limit);
  ~ChunkCache();

  // Leaves the plain bytes in `plain`, checked. False if it is not there; what is damaged is
  // forgotten and counts as not there.
  bool read(const Digest& id, Bytes& plain);
  [[nodiscard]] bool has(const Digest& id) const;
  // Keeps an object in stored form, already checked. A disk that takes no more is no error: for a
  // while nothing is then kept, with one warning.
  void add(const PackEntry& entry, ByteSpan stored);

 private:
  struct Segment;
  struct Place {
    std::uint64_t segment = 0; // its number
    std::uint32_t offset = 0;  // of the entry's header
    std::uint32_t stored_size = 0;
  };
  void scan(std::uint64_t number);
  void start_segment(std::uint64_t room);
  void drop_oldest(std::uint64_t room);
  void drop(std::uint64_t number);
  [[nodiscard]] fs::path path_of(std::uint64_t number) const;
  [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> segments_on_disk() const;

  fs::path directory_;
  std::uint64_t limit_;
  std::uint64_t segment_bytes_;

  mutable std::mutex mutex_;
  // By the first eight bytes of the id; the entry's header has all of them.
  std::unordered_map<std::uint64_t, Place> places_;
  std::map<std::uint64_t, std::shared_ptr<Segment>> segments_;
  std::shared_ptr<Segment> open_; // the one that is written
  std::uint64_t write_offset_ = 0;
  std::chrono::steady_clock::time_point rests_until_{};
};

} // namespace mlp::data
