// A layer of a layout as its tar: decompressed as it is read, with both of its digests checked.
// Sources: OCI Image Format Specification 1.1, layer.md; RFC 1952 (files of several members);
// RFC 8878 (of several frames).
#pragma once

#include "core/base/tar.hpp"
#include "core/image/layout.hpp"

#include <memory>

namespace mlp::image {

// Memory: about 1 MiB, for zstd as much as its window (128 MiB at most) beside it. Blocks on the
// file. Not thread-safe; not movable, as the reader of the tar holds on to it.
class LayerReader {
 public:
  // Throws Error(not_found) for a blob that is not there, Error(integrity) for a size other than
  // the descriptor's and a media type that is no layer's.
  LayerReader(const Layout& layout, const Descriptor& layer, const Digest& diff_id);
  ~LayerReader();
  LayerReader(LayerReader&&) = delete;

  // Throws Error(integrity) that names the layer, for damaged bytes too. What it hands out is as
  // hostile as the layer, and not checked before finish().
  [[nodiscard]] TarReader& tar() noexcept;
  // Reads what is left, then checks the digests of the blob and of the tar: Error(integrity).
  void finish();

  // Plain bytes that were read so far.
  [[nodiscard]] std::uint64_t position() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace mlp::image
