// Packs: any bytes are either a sound pack or damaged, and never more than that.
#include "core/base/error.hpp"
#include "core/data/pack_reader.hpp"

#include <algorithm>
#include <cstring>

using namespace mlp;
using namespace mlp::data;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan input = std::as_bytes(std::span(data, size));
  const ReadAt read = [&](std::uint64_t offset, std::span<std::byte> into) {
    if (offset >= input.size()) return std::size_t{0};
    const std::size_t n = std::min<std::size_t>(into.size(), input.size() - offset);
    std::memcpy(into.data(), input.data() + offset, n);
    return n;
  };
  // The id that the footer claims, so that more than the first check is reached.
  Digest id;
  if (size >= 40) std::memcpy(id.bytes.data(), data + size - 40, 32);
  try {
    (void)check_pack(read, size, id, [](std::uint64_t) {});
    (void)read_pack_end(read, size, id);
  } catch (const Error&) {
  }
  Bytes plain(65536);
  try {
    (void)decompress(Codec::zstd, input, plain.size(), plain);
  } catch (const Error&) {
  }
  return 0;
}
