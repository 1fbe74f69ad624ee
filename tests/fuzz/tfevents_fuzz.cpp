// Bytes as an Event message, as a record around it, and as a file: nothing may crash, a tag is
// UTF-8, and reading on where reading ended finds nothing more.
#include "core/base/text.hpp"
#include "core/track/event_file.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace mlp;

namespace {

std::string bytes_of(std::uint64_t value, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < size; ++i)
    out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

std::string record(const std::string& data) {
  const std::string length = bytes_of(data.size(), 8);
  return length + bytes_of(track::masked_crc32c(length), 4) + data +
         bytes_of(track::masked_crc32c(data), 4);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TemporaryDirectory folder("mlp-fuzz-");
  const fs::path path = folder.path() / "events";
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::size_t alone = 0, in_file = 0;
  track::read_event(text, [&](const track::EventScalar& scalar) {
    if (scalar.tag.empty() || !is_valid_utf8(scalar.tag)) std::abort();
    ++alone;
  });
  const auto count = [&](const track::EventScalar&) { ++in_file; };
  File::create(path).write(record(text) + text);
  const track::EventFileEnd end = track::read_event_file(path, 0, count);
  if (end.offset < record(text).size() || in_file < alone) std::abort();
  in_file = 0;
  const track::EventFileEnd again = track::read_event_file(path, end.offset, count);
  if (again.offset != end.offset || again.damaged != end.damaged || in_file != 0) std::abort();
  return 0;
}
