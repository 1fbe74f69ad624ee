// The bytes of event files, for tests: fields of Protocol Buffers, and TFRecords around them.
#pragma once

#include "core/track/event_file.hpp"

#include <bit>
#include <cstdint>
#include <string>

namespace mlp::test {

template <class Unsigned>
std::string little_endian_bytes(Unsigned value) {
  std::string out;
  for (std::size_t i = 0; i < sizeof value; ++i)
    out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}
inline std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
inline std::string float_bytes(float value) {
  return little_endian_bytes(std::bit_cast<std::uint32_t>(value));
}
inline std::string varint_field(unsigned number, std::uint64_t value) {
  return varint(number << 3) + varint(value);
}
inline std::string double_field(unsigned number, double value) {
  return varint(number << 3 | 1) + little_endian_bytes(std::bit_cast<std::uint64_t>(value));
}
inline std::string bytes_field(unsigned number, const std::string& content) {
  return varint(number << 3 | 2) + varint(content.size()) + content;
}
inline std::string float_field(unsigned number, float value) {
  return varint(number << 3 | 5) + float_bytes(value);
}

// The content of a Summary.Value, and further ones behind it.
inline std::string simple(const std::string& tag, float value) {
  return bytes_field(1, tag) + float_field(2, value);
}
// An Event with a Summary of the Value, and of `more`.
inline std::string event(double wall_time, std::int64_t step, const std::string& value,
                         const std::string& more = {}) {
  return double_field(1, wall_time) + varint_field(2, static_cast<std::uint64_t>(step)) +
         bytes_field(5, bytes_field(1, value) + more);
}

inline std::string record_header(std::uint64_t length) {
  const std::string bytes = little_endian_bytes(length);
  return bytes + little_endian_bytes(track::masked_crc32c(bytes));
}
inline std::string record(const std::string& data) {
  return record_header(data.size()) + data + little_endian_bytes(track::masked_crc32c(data));
}

} // namespace mlp::test
