// Ends of packs in two or three reads, whole packs in a stream.
#include "core/data/pack_reader.hpp"

#include "core/base/error.hpp"
#include "core/data/seal.hpp"

#include <fmt/format.h>

#include <algorithm>

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

  // `count` bytes at `offset`, valid until the next call. What is there already is not read again.
  ByteSpan at(std::uint64_t offset, std::size_t count) {
    if (offset > size_ || count > size_ - offset) throw damaged("it is cut short");
    if (offset < start_ || offset + count > start_ + block_.size()) {
      std::size_t kept = 0;
      if (offset >= start_ && offset < start_ + block_.size()) {
        kept = static_cast<std::size_t>(start_ + block_.size() - offset);
        std::copy(block_.end() - static_cast<std::ptrdiff_t>(kept), block_.end(), block_.begin());
      }
      start_ = offset;
      block_.resize(static_cast<std::size_t>(
          std::min<std::uint64_t>(std::max(block_bytes, count), size_ - offset)));
      const std::size_t n = read_(start_ + kept, std::span(block_).subspan(kept));
      block_.resize(kept + n);
      progress_(n);
      if (block_.size() < count) throw damaged("it is cut short");
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

namespace {

// The entries as they lie, by the index: many at a time, or one by one where some are damaged.
void check_entries(Stream& stream, std::vector<PackEntry> entries,
                   std::vector<PackDamage>& damages) {
  std::sort(entries.begin(), entries.end(),
            [](const PackEntry& a, const PackEntry& b) { return a.offset < b.offset; });
  Bytes expected, room;
  std::vector<ByteSpan> stored, plain;
  std::span<const PackEntry> left(entries);
  while (!left.empty()) {
    const auto some = left.first(one_batch(left));
    left = left.subspan(some.size());
    const std::uint64_t start = some.front().offset;
    const PackEntry& last = some.back();
    ByteSpan range;
    try {
      range = stream.at(start, static_cast<std::size_t>(last.offset - start) + entry_header_size +
                                   last.stored_size);
    } catch (const Error& error) { // it became shorter while it was read
      if (error.kind() != ErrorKind::integrity) throw;
      for (const PackEntry& entry : some)
        damages.push_back({entry.id, error.message()});
      continue;
    }
    stored.clear();
    for (const PackEntry& entry : some) {
      const ByteSpan here = range.subspan(static_cast<std::size_t>(entry.offset - start));
      expected.clear();
      append_entry_header(entry, expected);
      if (!std::equal(expected.begin(), expected.end(), here.begin()))
        damages.push_back({entry.id, "its entry header does not match the index"});
      stored.push_back(here.subspan(entry_header_size, entry.stored_size));
    }
    try {
      check_stored(some, stored, room, plain);
    } catch (const Error&) {
      for (std::size_t i = 0; i < some.size(); ++i) {
        try {
          check_stored(some[i], stored[i], room);
        } catch (const Error& error) {
          damages.push_back({some[i].id, error.message()});
        }
      }
    }
  }
}

// Where the index is damaged: by the entries' own headers, as far as these lead.
void check_by_headers(Stream& stream, std::uint64_t size, std::vector<PackDamage>& damages) {
  Bytes plain;
  std::uint64_t offset = pack_header_size;
  while (offset < size) {
    PackEntry entry;
    try {
      entry = parse_entry_header(stream.at(offset, entry_header_size), offset);
      check_stored(entry, stream.at(offset + entry_header_size, entry.stored_size), plain);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::integrity) throw;
      if (entry.plain_size == 0) break; // the index: all was read
      damages.push_back({entry.id, error.message()});
      if (entry.stored_size == 0) break;
    }
    offset += entry_header_size + entry.stored_size;
  }
}

} // namespace

std::vector<PackDamage> check_pack(const ReadAt& read, std::uint64_t size, const Digest& id,
                                   const std::function<void(std::uint64_t)>& progress) {
  std::vector<PackDamage> damages;
  std::optional<PackContents> contents;
  try {
    contents = read_pack_end(read, size, id);
  } catch (const Error& error) {
    // "failed": a version that this binary does not know; a flipped bit can look like one.
    if (error.kind() != ErrorKind::integrity && error.kind() != ErrorKind::failed) throw;
    damages.push_back({std::nullopt, error.message()});
  }
  Stream stream(read, size, progress);
  if (contents)
    check_entries(stream, std::move(contents->entries), damages);
  else
    check_by_headers(stream, size, damages);
  return damages;
}

namespace {

std::optional<PackContents> read_sound_end(const ReadAt& read, std::uint64_t size,
                                           const Digest& id) {
  try {
    return read_pack_end(read, size, id);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::integrity) throw;
    return std::nullopt;
  }
}

} // namespace

std::optional<PackContents> read_sound_pack(const ReadAt& read, std::uint64_t size,
                                            const Digest& id,
                                            const std::function<void(std::uint64_t)>& progress) {
  if (!check_pack(read, size, id, progress).empty()) return std::nullopt;
  return read_sound_end(read, size, id);
}

std::optional<PackContents> read_own_pack(const File& file, const Digest& id,
                                          const std::function<void(std::uint64_t)>& progress) {
  const ReadAt read = [&](std::uint64_t offset, std::span<std::byte> into) {
    return file.read_at(into, offset);
  };
  const std::uint64_t size = file.size();
  // Another user's mark says what that user wants it to say.
  if (!is_sealed(file, id.hex()) || !is_own(file)) return read_sound_pack(read, size, id, progress);
  progress(size);
  return read_sound_end(read, size, id);
}

} // namespace mlp::data
