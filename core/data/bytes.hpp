// Fixed little-endian integers and shortest-form varints (LEB128), as the formats of
// docs/formats.md use them. The reader refuses what the writer would not have written, so that a
// value has one encoding only.
#pragma once

#include "core/base/digest.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::data {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;

[[nodiscard]] inline ByteSpan bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}
[[nodiscard]] inline std::string_view text_of(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Appends to a buffer that the caller owns.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  void u8(std::uint8_t value) { out_.push_back(std::byte{value}); }
  void u32(std::uint32_t value) { fixed(value, 4); }
  void u64(std::uint64_t value) { fixed(value, 8); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7)
      u8(static_cast<std::uint8_t>(value | 0x80));
    u8(static_cast<std::uint8_t>(value));
  }
  void bytes(ByteSpan data) { out_.insert(out_.end(), data.begin(), data.end()); }
  void text(std::string_view data) { bytes(bytes_of(data)); }
  void sized_text(std::string_view data) {
    varint(data.size());
    text(data);
  }
  void digest(const Digest& id) { bytes(std::as_bytes(std::span(id.bytes))); }

 private:
  void fixed(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i)
      u8(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  Bytes& out_;
};

// Reads from bytes that outlive it. Every method throws Error(integrity), naming `what`, at the end
// of the bytes or where they are not canonical.
class ByteReader {
 public:
  ByteReader(ByteSpan data, std::string_view what) : data_(data), what_(what) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(take(1)[0]); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(fixed(4)); }
  std::uint64_t u64() { return fixed(8); }
  std::uint64_t varint();
  // A varint that counts items of at least `item_bytes` each: refused if they cannot follow.
  std::uint64_t count(std::size_t item_bytes);
  ByteSpan take(std::size_t size);
  // A varint length of at most `max` and so many bytes.
  std::string_view sized_text(std::size_t max);
  Digest digest();
  // Throws unless the next bytes are `text`.
  void expect(std::string_view text);
  void expect_end();
  [[nodiscard]] std::size_t left() const { return data_.size() - position_; }
  [[noreturn]] void fail(std::string_view reason) const;

 private:
  std::uint64_t fixed(std::size_t size) {
    const ByteSpan bytes = take(size);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
      value |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
    return value;
  }
  ByteSpan data_;
  std::string_view what_;
  std::size_t position_ = 0;
};

} // namespace mlp::data
