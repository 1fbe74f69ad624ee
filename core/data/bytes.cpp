// The refusals of ByteReader.
#include "core/data/bytes.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

namespace mlp::data {

void ByteReader::fail(std::string_view reason) const {
  throw Error(ErrorKind::integrity,
              fmt::format("damaged {}: {} at byte {}", what_, reason, position_));
}

ByteSpan ByteReader::take(std::size_t size) {
  if (size > left()) fail("it is cut short");
  const ByteSpan part = data_.subspan(position_, size);
  position_ += size;
  return part;
}

std::uint64_t ByteReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = u8();
    if (shift == 63 && byte > 1) fail("a number is too large");
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      if (byte == 0 && shift > 0) fail("a number is not in its shortest form");
      return value;
    }
  }
  fail("a number is too large");
}

std::uint64_t ByteReader::count(std::size_t item_bytes) {
  const std::uint64_t value = varint();
  if (value > left() / item_bytes) fail("a count is larger than what follows");
  return value;
}

std::string_view ByteReader::sized_text(std::size_t max) {
  const std::uint64_t size = varint();
  if (size > max) fail("a text is too long");
  return text_of(take(static_cast<std::size_t>(size)));
}

Digest ByteReader::digest() {
  Digest id;
  std::memcpy(id.bytes.data(), take(id.bytes.size()).data(), id.bytes.size());
  return id;
}

void ByteReader::expect(std::string_view text) {
  if (left() < text.size() || text_of(take(text.size())) != text) fail("it has another beginning");
}

void ByteReader::expect_end() {
  if (left() != 0) fail("bytes follow its end");
}

} // namespace mlp::data
