// Gzip on all cores with output that depends on the input alone: blocks of 1 MiB, each a member of
// its own (RFC 1952, section 2.2), which every reader of gzip joins again.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

namespace mlp::image {

// Not thread-safe. Memory: about 2 MiB a thread, once there is more than a block to compress.
class GzipWriter {
 public:
  // Called by the thread that writes, in order.
  using Sink = std::function<void(std::span<const std::byte>)>;
  // `threads` 0: one a CPU.
  explicit GzipWriter(Sink sink, unsigned threads = 0);
  ~GzipWriter();
  GzipWriter(GzipWriter&&) = delete;

  void write(std::string_view data);
  // The rest. An empty input gives one empty member.
  void end();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace mlp::image
