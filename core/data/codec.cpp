// zstd with a context a thread. Media and encrypted files are most of the bytes in many data sets;
// an entropy estimate of a sample spares them the compressor.
#include "core/data/codec.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>
#include <libdeflate.h>
#include <zstd.h>

#include <array>
#include <cmath>
#include <memory>
#include <new>

namespace mlp::data {

namespace {

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

ZSTD_CCtx* compression_context() {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  return context.get();
}

ZSTD_DCtx* decompression_context() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  return context.get();
}

// True if 4096 bytes, taken in 16 runs over the data, have an order-0 entropy above 7.9 bits a
// byte. 4096 random bytes have about 7.95 on this scale; text has 4 to 6.
bool looks_incompressible(ByteSpan data) {
  constexpr std::size_t runs = 16, run = 256;
  if (data.size() < 2 * runs * run) return false;
  std::array<std::uint32_t, 256> counts{};
  const std::size_t stride = (data.size() - run) / (runs - 1);
  for (std::size_t r = 0; r < runs; ++r) {
    for (const std::byte b : data.subspan(r * stride, run))
      ++counts[static_cast<std::uint8_t>(b)];
  }
  double entropy = 0;
  constexpr double total = runs * run;
  for (const std::uint32_t count : counts) {
    if (count > 0) entropy -= count / total * std::log2(count / total);
  }
  return entropy > 7.9;
}

} // namespace

std::size_t stored_bound(std::size_t plain_size) noexcept {
  return ZSTD_compressBound(plain_size);
}

StoredForm compress(ByteSpan plain, int level, std::span<std::byte> room) {
  if (!looks_incompressible(plain)) {
    const std::size_t size = ZSTD_compressCCtx(compression_context(), room.data(), room.size(),
                                               plain.data(), plain.size(), level);
    if (!ZSTD_isError(size) && size + plain.size() / 32 < plain.size())
      return {Codec::zstd, room.first(size)};
  }
  return {Codec::raw, plain};
}

ByteSpan decompress(Codec codec, ByteSpan stored, std::size_t plain_size,
                    std::span<std::byte> room) {
  const auto fail = [](std::string_view reason) {
    return Error(ErrorKind::integrity, fmt::format("damaged object: {}", reason));
  };
  if (plain_size > max_object_bytes || stored.size() > max_object_bytes)
    throw fail("larger than an object can be");
  if (codec == Codec::raw) {
    if (stored.size() != plain_size) throw fail("its size is not what its entry says");
    return stored;
  }
  if (room.size() < plain_size) throw fail("there is no room for it");
  const std::size_t size = ZSTD_decompressDCtx(decompression_context(), room.data(), plain_size,
                                               stored.data(), stored.size());
  if (ZSTD_isError(size)) throw fail(fmt::format("zstd says '{}'", ZSTD_getErrorName(size)));
  if (size != plain_size) throw fail("its size is not what its entry says");
  return room.first(plain_size);
}

std::uint32_t crc32(ByteSpan data) noexcept {
  return ::libdeflate_crc32(0, data.data(), data.size());
}

} // namespace mlp::data
