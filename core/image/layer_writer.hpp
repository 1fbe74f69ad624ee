// A layer of an image: entries as tar, compressed, digested both ways, and stored in a layout.
#pragma once

#include "core/base/tar.hpp"
#include "core/image/layout.hpp"

#include <cstdint>
#include <memory>

namespace mlp::image {

// A layer that is stored.
struct Layer {
  Descriptor descriptor;
  Digest diff_id;          // of the plain tar
  std::uint64_t bytes = 0; // of the plain tar
};

// Not thread-safe. The same entries give the same layer, however many threads compress it.
class LayerWriter {
 public:
  // `threads` 0: one a CPU.
  explicit LayerWriter(Layout& layout, unsigned threads = 0);
  ~LayerWriter();
  LayerWriter(LayerWriter&&) = delete;

  [[nodiscard]] TarWriter& tar() noexcept;
  // Durable when it returns. Throws Error.
  [[nodiscard]] Layer finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The content of an open file becomes that of the entry, whose size is the file's as it is now.
// Throws Error(conflict) if it is shorter by the time that it is read, Error(interrupted).
void write_file_entry(TarWriter& tar, TarEntry entry, File& file, const std::stop_token& stop);

} // namespace mlp::image
