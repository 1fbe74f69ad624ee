// Reading packs that lie somewhere: their ends, to know what is in them, and all of them, to check.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/pack.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mlp::data {

struct PackContents {
  PackKind kind = PackKind::data;
  std::vector<PackEntry> entries; // in order of id
};

// Fills the span from the offset on and returns how many bytes there were, as Storage::read does.
using ReadAt = std::function<std::size_t(std::uint64_t offset, std::span<std::byte> into)>;

// Reads header, footer and index of a pack of `size` bytes: two or three reads. Throws
// Error(integrity) unless they are sound and the pack's id is `id`.
[[nodiscard]] PackContents read_pack_end(const ReadAt& read, std::uint64_t size, const Digest& id);

// What is wrong with a pack: with one object of it, or with all (no `object`).
struct PackDamage {
  std::optional<Digest> object;
  std::string reason;
};

// Reads every byte of a pack, in blocks of about 4 MiB, and checks it. Where the index is damaged,
// the entries are still checked by their own headers, as far as these lead. `progress` is told the
// bytes read. Errors other than integrity are thrown.
[[nodiscard]] std::vector<PackDamage>
check_pack(const ReadAt& read, std::uint64_t size, const Digest& id,
           const std::function<void(std::uint64_t)>& progress);

// What a pack has, if every byte of it is as it should be. Errors other than integrity are thrown.
[[nodiscard]] std::optional<PackContents>
read_sound_pack(const ReadAt& read, std::uint64_t size, const Digest& id,
                const std::function<void(std::uint64_t)>& progress);

// The same for a pack of one's own: where it is as its writer sealed it, only its end is read.
[[nodiscard]] std::optional<PackContents>
read_own_pack(const File& file, const Digest& id,
              const std::function<void(std::uint64_t)>& progress);

} // namespace mlp::data
