// How an object's bytes are stored: as they are, or as one zstd frame (RFC 8878).
#pragma once

#include "core/data/bytes.hpp"

#include <cstdint>

namespace mlp::data {

enum class Codec : std::uint8_t { raw = 0, zstd = 1 };

// No object is larger, plain or stored. What says otherwise is refused before memory is taken.
inline constexpr std::size_t max_object_bytes = 1u << 20;

struct StoredForm {
  Codec codec = Codec::raw;
  ByteSpan bytes;
};
// Room for the stored form of so many plain bytes.
[[nodiscard]] std::size_t stored_bound(std::size_t plain_size) noexcept;
// The stored form of `plain` (1 to max_object_bytes bytes): `plain` itself, or a part of `room`,
// which has stored_bound() bytes or more. Raw where zstd saves less than 1 in 32, and at once where
// a sample of the bytes looks incompressible. Thread-safe: each thread keeps its own zstd context.
[[nodiscard]] StoredForm compress(ByteSpan plain, int level, std::span<std::byte> room);

// The plain bytes of a stored form: `stored` itself, or `room`, which has `plain_size` bytes.
// Throws Error(integrity) unless they are exactly `plain_size`. Thread-safe.
[[nodiscard]] ByteSpan decompress(Codec codec, ByteSpan stored, std::size_t plain_size,
                                  std::span<std::byte> room);

// CRC-32 of ISO 3309 (zlib's), which finds any single flipped bit of the stored bytes.
[[nodiscard]] std::uint32_t crc32(ByteSpan data) noexcept;

} // namespace mlp::data
