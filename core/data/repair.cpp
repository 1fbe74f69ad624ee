// The objects are stored anew before their pack is set aside, so that nothing sound is ever
// missing: in a store of its own at first, because the damaged pack still claims them.
#include "core/data/repair.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/pack_reader.hpp"

namespace mlp::data {

namespace {

// Calls body(kind, entry, stored bytes) for each sound object of a pack; counts the others.
template <class Body>
std::uint64_t for_each_sound(const fs::path& path, const Digest& id, const std::stop_token& stop,
                             const Body& body) {
  const File file = File::open_read(path);
  const ReadAt read = [&](std::uint64_t offset, std::span<std::byte> into) {
    return file.read_at(into, offset);
  };
  PackContents contents;
  try {
    contents = read_pack_end(read, file.size(), id);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::integrity) throw;
    return 1; // nothing tells what was in it
  }
  std::uint64_t lost = 0;
  Bytes stored;
  Bytes plain;
  for (const PackEntry& entry : contents.entries) {
    throw_if_stopped(stop);
    stored.resize(entry.stored_size);
    try {
      if (read(entry.offset + entry_header_size, stored) != stored.size())
        throw Error(ErrorKind::integrity, "the pack is too short");
      check_stored(entry, stored, plain);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::integrity) throw;
      ++lost;
      continue;
    }
    body(contents.kind, entry, ByteSpan(stored));
  }
  return lost;
}

} // namespace

RepairStats repair_packs(const fs::path& directory, const std::vector<Digest>& packs,
                         Progress& progress, const std::stop_token& stop) {
  RepairStats stats;
  const fs::path scratch = directory / "repair"; // of an interrupted repair too
  std::error_code ignored;
  if (packs.empty() && !fs::exists(scratch, ignored)) return stats;
  progress.begin("repairing packs", packs.size(), ProgressUnit::count);
  {
    ObjectStore saved(scratch);
    for (const Digest& pack : packs) {
      const fs::path path = ObjectStore(directory).pack_path(pack);
      stats.lost += for_each_sound(path, pack, stop,
                                   [&](PackKind kind, const PackEntry& entry, ByteSpan stored) {
                                     if (saved.put_stored(kind, entry, stored)) ++stats.objects;
                                   });
      progress.advance(1);
    }
    saved.flush();
  }
  for (const Digest& pack : packs) {
    ObjectStore(directory).set_aside(pack);
    ++stats.packs;
  }
  ObjectStore store(directory);
  store.prepare();
  ObjectStore saved(scratch);
  for (const auto& [pack, kind] : saved.packs())
    (void)for_each_sound(saved.pack_path(pack), pack, stop,
                         [&](PackKind of, const PackEntry& entry, ByteSpan stored) {
                           (void)store.put_stored(of, entry, stored);
                         });
  store.flush();
  mlp::remove_all(scratch);
  progress.end();
  return stats;
}

} // namespace mlp::data
