// Ends of packs in two or three reads, whole packs in a stream.
#include "core/data/pack_reader.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace mlp::data {

namespace {

// One read of this size holds the end of most packs of 64 KiB chunks.
constexpr std::uint64_t end_guess = 128 * 1024;
constexpr std::size_t block_bytes = 4u << 20;

Error damaged(std::string_view reason) {
  return Error(ErrorKind::integrity, fmt::format("damaged pack: {}", reason));
}

void read_fully(const ReadAt& read, std::uint64_t offset, std::span<std::byte> into) {
  if (read(offset, into) != into.size()) throw damaged("it is cut short");
}

// A window over the pack that moves forward.
class Stream {
 public:
  Stream(const ReadAt& read, std::uint64_t size, const std::function<void(std::uint64_t)>& progress)
      : read_(read), size_(size), progress_(progress) {}

  // `count` bytes (at most 4 MiB) at `offset`, valid until the next call.
  ByteSpan at(std::uint64_t offset, std::size_t count) {
    if (offset > size_ || count > size_ - offset) throw damaged("it is cut short");
    if (offset < start_ || offset + count > start_ + block_.size()) {
      start_ = offset;
      block_.resize(static_cast<std::size_t>(
          std::min<std::uint64_t>(std::max(block_bytes, count), size_ - offset)));
      const std::size_t n = read_(start_, block_);
      block_.resize(n);
      progress_(n);
      if (n < count) throw damaged("it is cut short");
    }
    return ByteSpan(block_).subspan(static_cast<std::size_t>(offset - start_), count);
  }

 private:
  const ReadAt& read_;
  std::uint64_t size_;
  const std::function<void(std::uint64_t)>& progress_;
  Bytes block_;
  std::uint64_t start_ = 0;
};

} // namespace

PackContents read_pack_end(const ReadAt& read, std::uint64_t size, const Digest& id) {
  if (size < pack_header_size + pack_footer_size) throw damaged("it is cut short");
  Bytes header(pack_header_size);
  read_fully(read, 0, header);
  PackContents contents;
  contents.kind = parse_pack_header(header);

  Bytes end(static_cast<std::size_t>(std::min(size, end_guess)));
  read_fully(read, size - end.size(), end);
  const PackFooter footer = parse_pack_footer(ByteSpan(end).last(pack_footer_size), size);
  if (footer.id != id) throw damaged("it is another pack under this name");
  const std::size_t index_size = static_cast<std::size_t>(footer.count) * index_entry_size;
  if (index_size + pack_footer_size > end.size()) {
    end.resize(index_size + pack_footer_size);
    read_fully(read, footer.index_offset, end);
  }
  const ByteSpan index = ByteSpan(end).last(index_size + pack_footer_size).first(index_size);
  contents.entries = parse_pack_index(contents.kind, index, footer);
  return contents;
}

std::vector<PackDamage> check_pack(const ReadAt& read, std::uint64_t size, const Digest& id,
                                   const std::function<void(std::uint64_t)>& progress) {
  std::vector<PackDamage> damages;
  std::map<std::uint64_t, PackEntry> by_offset;
  std::uint64_t end = size;
  try {
    const PackContents contents = read_pack_end(read, size, id);
    end = size - pack_footer_size - contents.entries.size() * index_entry_size;
    for (const auto& entry : contents.entries)
      by_offset.emplace(entry.offset, entry);
  } catch (const Error& error) {
    // "failed": a version that this binary does not know; a flipped bit can look like one.
    if (error.kind() != ErrorKind::integrity && error.kind() != ErrorKind::failed) throw;
    damages.push_back({std::nullopt, error.message()});
  }
  const bool indexed = damages.empty();
  Stream stream(read, size, progress);
  Bytes plain;
  std::uint64_t offset = pack_header_size;
  while (offset < end) {
    PackEntry entry;
    try {
      const ByteSpan header = stream.at(offset, entry_header_size);
      if (!indexed) {
        entry = parse_entry_header(header, offset); // fails at the index: then all was read
      } else {
        entry = by_offset.at(offset);
        Bytes expected;
        append_entry_header(entry, expected);
        if (!std::equal(expected.begin(), expected.end(), header.begin(), header.end()))
          damages.push_back({entry.id, "its entry header does not match the index"});
      }
      check_stored(entry, stream.at(offset + entry_header_size, entry.stored_size), plain);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::integrity) throw;
      if (!indexed && entry.plain_size == 0) break;
      damages.push_back({entry.id, error.message()});
      if (entry.stored_size == 0) break;
    }
    offset += entry_header_size + entry.stored_size;
  }
  return damages;
}

std::optional<PackContents> read_sound_pack(const ReadAt& read, std::uint64_t size,
                                            const Digest& id,
                                            const std::function<void(std::uint64_t)>& progress) {
  try {
    if (!check_pack(read, size, id, progress).empty()) return std::nullopt;
    return read_pack_end(read, size, id);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::integrity) throw;
    return std::nullopt;
  }
}

} // namespace mlp::data
