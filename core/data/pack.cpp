// Encoding and checking of packs; see docs/formats.md for the tables.
#include "core/data/pack.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::data {

namespace {

constexpr std::string_view header_magic = "mlppack\n";
constexpr std::string_view footer_magic = "mlpend.\n";
constexpr std::uint32_t pack_version = 1;
constexpr std::uint64_t batch_bytes = 4u << 20;
constexpr std::size_t batch_entries = 4096;

void append_entry_fields(const PackEntry& entry, ByteWriter& out) {
  out.u32(entry.stored_size);
  out.u32(entry.plain_size);
  out.u32(entry.crc);
  out.u8(static_cast<std::uint8_t>(entry.codec));
  for (int i = 0; i < 3; ++i)
    out.u8(0);
}

void read_entry_fields(ByteReader& in, PackEntry& entry) {
  entry.stored_size = in.u32();
  entry.plain_size = in.u32();
  entry.crc = in.u32();
  const std::uint8_t codec = in.u8();
  if (codec > 1) in.fail("an unknown codec");
  entry.codec = static_cast<Codec>(codec);
  for (int i = 0; i < 3; ++i) {
    if (in.u8() != 0) in.fail("a reserved byte is not zero");
  }
  if (entry.plain_size == 0 || entry.plain_size > max_object_bytes)
    in.fail("an object's size is out of range");
  const bool fits = entry.codec == Codec::raw ? entry.stored_size == entry.plain_size
                                              : entry.stored_size < entry.plain_size;
  if (!fits || entry.stored_size == 0) in.fail("a stored size does not fit its codec");
}

Digest pack_digest(PackKind kind, ByteSpan index) {
  Sha256 sha;
  sha.update(encode_pack_header(kind));
  sha.update(index);
  return sha.finish();
}

} // namespace

Bytes encode_pack_header(PackKind kind) {
  Bytes out;
  ByteWriter writer(out);
  writer.text(header_magic);
  writer.u32(pack_version);
  writer.u8(static_cast<std::uint8_t>(kind));
  writer.bytes(Bytes(3));
  return out;
}

PackKind parse_pack_header(ByteSpan header) {
  ByteReader in(header, "pack");
  in.expect(header_magic);
  const std::uint32_t version = in.u32();
  if (version > pack_version && version < 1000)
    throw Error(ErrorKind::failed,
                fmt::format("a pack of format {} was written by a newer mlp", version))
        .with_hint("upgrade mlp to read it");
  if (version != pack_version) in.fail("an unknown version");
  const std::uint8_t kind = in.u8();
  if (kind > 1) in.fail("an unknown kind");
  for (int i = 0; i < 3; ++i) {
    if (in.u8() != 0) in.fail("a reserved byte is not zero");
  }
  in.expect_end();
  return static_cast<PackKind>(kind);
}

void append_entry_header(const PackEntry& entry, Bytes& out) {
  ByteWriter writer(out);
  writer.digest(entry.id);
  append_entry_fields(entry, writer);
}

PackEntry parse_entry_header(ByteSpan header, std::uint64_t offset) {
  ByteReader in(header, "pack entry");
  PackEntry entry;
  entry.id = in.digest();
  entry.offset = offset;
  read_entry_fields(in, entry);
  in.expect_end();
  return entry;
}

PackEnd encode_pack_end(PackKind kind, std::vector<PackEntry>& entries) {
  std::uint64_t end = pack_header_size;
  for (const auto& entry : entries)
    end = std::max(end, entry.offset + entry_header_size + entry.stored_size);
  std::sort(entries.begin(), entries.end(),
            [](const PackEntry& a, const PackEntry& b) { return a.id < b.id; });
  PackEnd result;
  result.bytes.reserve(entries.size() * index_entry_size + pack_footer_size);
  ByteWriter writer(result.bytes);
  for (const auto& entry : entries) {
    writer.digest(entry.id);
    writer.u64(entry.offset);
    append_entry_fields(entry, writer);
  }
  result.id = pack_digest(kind, result.bytes);
  writer.u64(end);
  writer.u64(entries.size());
  writer.digest(result.id);
  writer.text(footer_magic);
  return result;
}

PackFooter parse_pack_footer(ByteSpan footer, std::uint64_t pack_size) {
  ByteReader in(footer, "pack footer");
  PackFooter result;
  result.index_offset = in.u64();
  result.count = in.u64();
  result.id = in.digest();
  in.expect(footer_magic);
  in.expect_end();
  if (result.count == 0 || result.count > max_pack_entries)
    in.fail("the number of entries is out of range");
  if (pack_size < pack_header_size + pack_footer_size ||
      result.index_offset > pack_size - pack_footer_size ||
      pack_size - pack_footer_size - result.index_offset != result.count * index_entry_size)
    in.fail("its numbers do not fit the size of the pack");
  return result;
}

std::vector<PackEntry> parse_pack_index(PackKind kind, ByteSpan index, const PackFooter& footer) {
  ByteReader in(index, "pack index");
  if (index.size() != footer.count * index_entry_size) in.fail("it has another size");
  if (pack_digest(kind, index) != footer.id) in.fail("its digest does not match");
  std::vector<PackEntry> entries(static_cast<std::size_t>(footer.count));
  for (auto& entry : entries) {
    entry.id = in.digest();
    entry.offset = in.u64();
    read_entry_fields(in, entry);
    if (&entry != &entries.front() && !((&entry)[-1].id < entry.id))
      in.fail("the ids do not ascend");
  }
  std::vector<const PackEntry*> by_offset;
  by_offset.reserve(entries.size());
  for (const auto& entry : entries)
    by_offset.push_back(&entry);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const PackEntry* a, const PackEntry* b) { return a->offset < b->offset; });
  std::uint64_t expected = pack_header_size;
  for (const PackEntry* entry : by_offset) {
    if (entry->offset != expected) in.fail("the entries do not fill the pack");
    expected += entry_header_size + entry->stored_size;
  }
  if (expected != footer.index_offset) in.fail("the entries do not fill the pack");
  return entries;
}

std::uint64_t lay_out(std::span<PackEntry> entries) {
  std::uint64_t offset = pack_header_size;
  for (auto& entry : entries) {
    entry.offset = offset;
    offset += entry_header_size + entry.stored_size;
  }
  return offset;
}

namespace {

Error damaged(const PackEntry& entry, std::string_view reason) {
  return Error(ErrorKind::integrity,
               fmt::format("object '{}' is damaged: {}", entry.id.short_hex(), reason));
}

// The plain bytes, whose digest is still to be looked at.
ByteSpan plain_bytes(const PackEntry& entry, ByteSpan stored, std::span<std::byte> room,
                     Depth depth = Depth::digests) {
  if (stored.size() != entry.stored_size) throw damaged(entry, "it is cut short");
  // Before a decoder sees it; of raw bytes the digest says more.
  if ((entry.codec != Codec::raw || depth == Depth::checksums) && crc32(stored) != entry.crc)
    throw damaged(entry, "its checksum does not match");
  try {
    return decompress(entry.codec, stored, entry.plain_size, room);
  } catch (const Error& error) {
    throw damaged(entry, error.message());
  }
}

// What decompressing it needs.
std::size_t room_for(const PackEntry& entry) noexcept {
  return entry.codec == Codec::raw || entry.plain_size > max_object_bytes ? 0 : entry.plain_size;
}

} // namespace

void check_stored(const PackEntry& entry, ByteSpan stored, Bytes& plain) {
  plain.resize(room_for(entry));
  const ByteSpan found = plain_bytes(entry, stored, plain);
  if (sha256(found) != entry.id) throw damaged(entry, "its digest does not match");
  if (found.data() != plain.data()) plain.assign(found.begin(), found.end());
}

void check_stored(std::span<const PackEntry> entries, std::span<const ByteSpan> stored, Bytes& room,
                  std::vector<ByteSpan>& plain, Depth depth) {
  std::size_t bytes = 0;
  for (const PackEntry& entry : entries)
    bytes += room_for(entry);
  if (room.size() < bytes) room.resize(bytes);
  std::span<std::byte> left(room);
  plain.clear();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::size_t here = room_for(entries[i]);
    plain.push_back(plain_bytes(entries[i], stored[i], left.first(here), depth));
    left = left.subspan(here);
  }
  if (depth == Depth::checksums) return;
  std::vector<Digest> ids(entries.size());
  sha256_each(plain, ids);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (ids[i] != entries[i].id) throw damaged(entries[i], "its digest does not match");
  }
}

std::size_t one_batch(std::span<const PackEntry> entries) noexcept {
  std::uint64_t bytes = 0;
  std::size_t count = 0;
  while (count < std::min(entries.size(), batch_entries)) {
    bytes += entries[count].plain_size;
    if (bytes > batch_bytes && count > 0) break;
    ++count;
  }
  return count;
}

std::string pack_name(const Digest& id) {
  return "packs/" + id.hex() + ".pack";
}

std::optional<Digest> parse_pack_name(std::string_view name) {
  constexpr std::string_view prefix = "packs/", suffix = ".pack";
  if (name.size() != prefix.size() + 64 + suffix.size() || !name.starts_with(prefix) ||
      !name.ends_with(suffix))
    return std::nullopt;
  return parse_digest(name.substr(prefix.size(), 64));
}

} // namespace mlp::data
