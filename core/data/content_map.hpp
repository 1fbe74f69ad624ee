// Where the bytes of a file lie: the chunks of any part of it, found by descending the file's
// lists. Of a long file only the nodes on the way are held, so that seeking in it costs a few nodes
// and no memory that grows with it.
#pragma once

#include "core/data/manifest.hpp"
#include "core/data/store.hpp"

#include <cstdint>
#include <vector>

namespace mlp::data {

struct PlacedChunk {
  Ref ref;
  std::uint64_t offset = 0; // of its first byte in the file
};

// Not thread-safe. `nodes` outlives it.
class ContentMap {
 public:
  ContentMap(ObjectSource& nodes, const Content& content);

  // The chunks, in order, that hold bytes of [offset, offset + size), cut at the end of the file.
  // Reads the list nodes that it must, each checked against what the node above it claims. Throws
  // Error: integrity, and what `nodes` throws; it can then be asked again.
  [[nodiscard]] std::vector<PlacedChunk> chunks(std::uint64_t offset, std::uint64_t size);

  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  struct Frame {
    std::vector<Ref> refs;
    std::vector<std::uint64_t> ends; // where each of them ends in the file
    std::uint64_t begin = 0;
    std::uint8_t level = 0; // 0: the refs are chunks
  };
  [[nodiscard]] static Frame frame(std::vector<Ref> refs, std::uint8_t level, std::uint64_t begin);
  // Leaves the frame of chunks that holds `offset` on top; returns the chunk's place in it.
  std::size_t seek(std::uint64_t offset);

  ObjectSource& nodes_;
  std::uint64_t size_;
  std::vector<Frame> frames_; // the root first
};

} // namespace mlp::data
