// The pack format: many objects in one file, each checkable by itself, an index at the end. The
// bytes are specified in docs/formats.md. All functions here are pure.
//
//   header 16 | entry header 48, stored bytes | ... | index: 56 an entry, by id | footer 56
//
// A pack's id is the SHA-256 of its header and index. The index holds each object's id, place and
// CRC, so the id fixes the whole file; and since the index is known before the bytes are sent, a
// pack can be streamed to its final name.
#pragma once

#include "core/base/digest.hpp"
#include "core/data/bytes.hpp"
#include "core/data/codec.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::data {

// What the objects are: chunks of files, or the nodes of manifests. Nodes lie apart, so that a
// version can be listed and compared without its data.
enum class PackKind : std::uint8_t { data = 0, meta = 1 };

struct PackEntry {
  Digest id;                // SHA-256 of the plain bytes
  std::uint64_t offset = 0; // of the entry's header in the pack
  std::uint32_t stored_size = 0;
  std::uint32_t plain_size = 0;
  std::uint32_t crc = 0; // of the stored bytes
  Codec codec = Codec::raw;
  bool operator==(const PackEntry&) const = default;
};

inline constexpr std::size_t pack_header_size = 16;
inline constexpr std::size_t entry_header_size = 48;
inline constexpr std::size_t index_entry_size = 56;
inline constexpr std::size_t pack_footer_size = 56;
// A pack is closed when it has grown to either of these.
inline constexpr std::uint64_t target_pack_bytes = 64u << 20;
inline constexpr std::uint64_t target_pack_entries = 1u << 16;
// No reader takes more, so that a hostile footer cannot fill the memory (14 MiB of index).
inline constexpr std::uint64_t max_pack_entries = 1u << 18;

struct PackFooter {
  std::uint64_t index_offset = 0;
  std::uint64_t count = 0;
  Digest id;
};

[[nodiscard]] Bytes encode_pack_header(PackKind kind);
// Throws Error(integrity); a newer version is Error(failed) that says so.
[[nodiscard]] PackKind parse_pack_header(ByteSpan header);

void append_entry_header(const PackEntry& entry, Bytes& out);
// The entry that a header describes; `offset` is the caller's knowledge.
[[nodiscard]] PackEntry parse_entry_header(ByteSpan header, std::uint64_t offset);

// Sorts the entries by id and gives index and footer.
struct PackEnd {
  Bytes bytes;
  Digest id;
};
[[nodiscard]] PackEnd encode_pack_end(PackKind kind, std::vector<PackEntry>& entries);

// Throws Error(integrity) unless the footer belongs to a pack of `pack_size` bytes.
[[nodiscard]] PackFooter parse_pack_footer(ByteSpan footer, std::uint64_t pack_size);
// The entries in order of id. Throws Error(integrity) unless the digest is the footer's, the ids
// ascend, and the entries fill the file without gap or overlap.
[[nodiscard]] std::vector<PackEntry> parse_pack_index(PackKind kind, ByteSpan index,
                                                      const PackFooter& footer);

// Where the entries would lie, were they written in this order: sets their offsets and returns the
// size of the pack without index and footer.
std::uint64_t lay_out(std::span<PackEntry> entries);

// Checks the digest of one entry's stored bytes, and the CRC of compressed ones, leaving the plain
// bytes in `plain`. Throws Error(integrity) that names the object.
void check_stored(const PackEntry& entry, ByteSpan stored, Bytes& plain);
// The same for several, which is faster; take as many as one_batch() says. `plain` gets views of
// `stored` or of `room`, which is made as large as it has to be. Throws for the first that is
// damaged. With Depth::checksums the digests are not computed: for what had the right ones a moment
// ago.
enum class Depth : std::uint8_t { digests, checksums };
void check_stored(std::span<const PackEntry> entries, std::span<const ByteSpan> stored, Bytes& room,
                  std::vector<ByteSpan>& plain, Depth depth = Depth::digests);
// How many entries, from the first one, have 4 MiB of plain bytes together or less; at
// least one, at most 4096.
[[nodiscard]] std::size_t one_batch(std::span<const PackEntry> entries) noexcept;

// "packs/<64 hex>.pack", in the local store and in every remote.
[[nodiscard]] std::string pack_name(const Digest& id);
// nullopt for a name that is not a pack's.
[[nodiscard]] std::optional<Digest> parse_pack_name(std::string_view name);

} // namespace mlp::data
