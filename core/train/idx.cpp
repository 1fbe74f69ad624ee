// Header: two zero bytes, the element type, the number of dimensions, each dimension as a
// big-endian 32-bit number. The data is read in growing steps, so that a header cannot make us
// allocate what the file does not hold.
#include "core/train/idx.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

namespace mlp::train {
namespace {

constexpr std::size_t kStep = std::size_t{16} << 20;
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 36;

std::size_t read_fully(ByteSource& source, std::span<char> data) {
  std::size_t have = 0;
  while (have < data.size()) {
    const std::size_t n = source.read(data.subspan(have));
    if (n == 0) break;
    have += n;
  }
  return have;
}

const char* type_name(unsigned type) noexcept {
  switch (type) {
  case 0x08:
    return "unsigned bytes";
  case 0x09:
    return "signed bytes";
  case 0x0B:
    return "16-bit integers";
  case 0x0C:
    return "32-bit integers";
  case 0x0D:
    return "32-bit floats";
  case 0x0E:
    return "64-bit floats";
  default:
    return nullptr;
  }
}

Error ends_early(const ByteSource& source, std::uint64_t expected, std::uint64_t found) {
  return {ErrorKind::integrity, fmt::format("'{}' ends early: {} bytes expected, {} found",
                                            source.name(), expected, found)};
}

} // namespace

IdxFile read_idx(std::unique_ptr<ByteSource> source) {
  std::array<char, 4> head{};
  const std::size_t have = read_fully(*source, head);
  const auto byte = [](char c) { return static_cast<unsigned char>(c); };
  if (have >= 3 && (head[0] != 0 || head[1] != 0 || type_name(byte(head[2])) == nullptr))
    throw Error(ErrorKind::config, fmt::format("'{}' is not an IDX file", source->name()));
  if (have < head.size()) throw ends_early(*source, head.size(), have);
  if (byte(head[2]) != 0x08)
    throw Error(ErrorKind::config, fmt::format("'{}' holds {}; only unsigned bytes are read",
                                               source->name(), type_name(byte(head[2]))));
  const std::size_t dimensions = byte(head[3]);
  if (dimensions < 1 || dimensions > 8)
    throw Error(ErrorKind::config,
                fmt::format("'{}' has {} dimensions; 1 to 8 are read", source->name(), dimensions));
  IdxFile file;
  file.source = source->name();
  std::array<char, 32> sizes{};
  const std::span<char> wanted(sizes.data(), 4 * dimensions);
  const std::size_t got = read_fully(*source, wanted);
  const std::uint64_t header = head.size() + wanted.size();
  if (got < wanted.size()) throw ends_early(*source, header, head.size() + got);
  std::uint64_t count = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < 4; ++i)
      size = size << 8 | byte(sizes[4 * d + i]);
    file.shape.push_back(static_cast<std::int64_t>(size));
    if (size == 0)
      throw Error(ErrorKind::config, fmt::format("'{}' has a dimension of size 0", source->name()));
    if (size > kMaxElements / count)
      throw Error(ErrorKind::config,
                  fmt::format("'{}' says that it holds more than 2^36 elements", source->name()));
    count *= size;
  }
  while (file.data.size() < count) {
    const std::size_t before = file.data.size();
    const auto step = std::min<std::uint64_t>(count - before, std::max(kStep, before));
    file.data.resize(before + step);
    char* data = reinterpret_cast<char*>(file.data.data());
    const std::size_t n = read_fully(*source, {data + before, static_cast<std::size_t>(step)});
    if (n < step) throw ends_early(*source, header + count, header + before + n);
  }
  std::array<char, 1> more{};
  if (source->read(more) != 0)
    throw Error(ErrorKind::config,
                fmt::format("'{}' goes on after the {} bytes that its header says", source->name(),
                            header + count));
  return file;
}

IdxFile read_idx(const std::filesystem::path& path) {
  return read_idx(open_source(path));
}

} // namespace mlp::train
