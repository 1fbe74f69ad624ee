// The local store. A worker that finds its pack full closes it outside the lock, while the others
// go on with a new one.
#include "core/data/store.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/text.hpp"
#include "core/data/pack_reader.hpp"
#include "core/data/pack_writer.hpp"
#include "core/data/seal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mlp::data {

namespace {

constexpr std::size_t max_open_packs = 64;
constexpr std::chrono::minutes longest_wait(10);

std::vector<Digest> list_packs(const fs::path& store) {
  std::vector<Digest> packs;
  std::error_code code;
  for (fs::directory_iterator it(store / "packs", code), end; !code && it != end;
       it.increment(code)) {
    if (const auto id = parse_pack_name("packs/" + it->path().filename().native()))
      packs.push_back(*id);
  }
  if (code && code != std::errc::no_such_file_or_directory)
    throw system_error(code.value(), "list", (store / "packs").native());
  return packs;
}

} // namespace

std::vector<Digest> ObjectSink::put_each(PackKind kind, std::span<const ByteSpan> plain) {
  std::vector<Digest> ids;
  for (const ByteSpan one : plain)
    ids.push_back(put(kind, one));
  return ids;
}

std::vector<Digest> HashOnly::put_each(PackKind, std::span<const ByteSpan> plain) {
  std::vector<Digest> ids(plain.size());
  sha256_each(plain, ids);
  return ids;
}

ObjectStore::ObjectStore(fs::path directory, int compression_level)
    : directory_(std::move(directory)), level_(compression_level), index_(directory_ / "index") {
  reload();
}

void ObjectStore::reload(bool check) {
  for (const Digest& pack : index_.load(list_packs(directory_), check)) {
    // Its writer died between the pack and its index, or the index was damaged.
    try {
      const File file = File::open_read(pack_path(pack));
      const PackContents contents =
          read_pack_end([&](std::uint64_t offset,
                            std::span<std::byte> into) { return file.read_at(into, offset); },
                        file.size(), pack);
      index_.add(pack, contents.kind, contents.entries);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::denied) throw;
      // A damaged pack has no objects; `verify` reads every pack and says so.
    }
  }
}

ObjectStore::~ObjectStore() = default;

fs::path ObjectStore::pack_path(const Digest& pack) const {
  return directory_ / pack_name(pack);
}

std::shared_ptr<const File> ObjectStore::open_pack(const Digest& pack) {
  const std::lock_guard lock(files_mutex_);
  const auto it = std::find_if(files_.begin(), files_.end(),
                               [&](const auto& item) { return item.first == pack; });
  if (it != files_.end()) {
    std::rotate(it, it + 1, files_.end());
    return files_.back().second;
  }
  auto file = std::make_shared<const File>(File::open_read(pack_path(pack)));
  if (files_.size() >= max_open_packs) files_.erase(files_.begin());
  files_.emplace_back(pack, file);
  return file;
}

void ObjectStore::read_stored(const Location& given, Bytes& stored, Bytes& plain) {
  Location location = given;
  try {
    std::shared_ptr<const File> file;
    try {
      file = open_pack(location.pack);
    } catch (const Error& error) {
      // Garbage was collected since: the object lies elsewhere now.
      if (error.kind() != ErrorKind::not_found) throw;
      reload();
      const auto now = index_.find(location.entry.id);
      if (!now) throw;
      location = *now;
      file = open_pack(location.pack);
    }
    stored.resize(location.entry.stored_size);
    stored.resize(file->read_at(stored, location.entry.offset + entry_header_size));
    check_stored(location.entry, stored, plain);
  } catch (Error& error) {
    error.add_context(fmt::format("while reading '{}'", pack_path(location.pack).native()));
    if (error.kind() == ErrorKind::integrity)
      error.add_hint("run 'mlp data verify' to see what is affected");
    throw;
  }
}

namespace {

constexpr std::uint64_t most_at_once = 8u << 20;

// How many locations, from the first one, lie one behind the other in one pack.
std::size_t run_length(std::span<const Location> locations) {
  std::size_t count = 1;
  const auto end = [](const PackEntry& entry) {
    return entry.offset + entry_header_size + entry.stored_size;
  };
  while (count < locations.size() && locations[count].pack == locations[0].pack &&
         locations[count].entry.offset == end(locations[count - 1].entry) &&
         end(locations[count].entry) - locations[0].entry.offset <= most_at_once)
    ++count;
  return count;
}

} // namespace

void ObjectStore::read_each(std::span<const Location> locations, ObjectBatch& batch) {
  std::size_t bytes = 0;
  for (const Location& location : locations)
    bytes += entry_header_size + location.entry.stored_size;
  if (batch.bytes.size() < bytes) batch.bytes.resize(bytes);
  batch.stored.clear();
  std::vector<PackEntry> entries;
  std::span<std::byte> room(batch.bytes);
  for (auto left = locations; !left.empty();) {
    const auto run = left.first(run_length(left));
    left = left.subspan(run.size());
    const std::uint64_t start = run.front().entry.offset;
    const PackEntry& last = run.back().entry;
    const auto size =
        static_cast<std::size_t>(last.offset - start) + entry_header_size + last.stored_size;
    try {
      (void)open_pack(run.front().pack)->read_at(room.first(size), start);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::not_found) throw;
      // Garbage was collected since: below, each is looked for where it lies now.
    }
    for (const Location& location : run) {
      entries.push_back(location.entry);
      batch.stored.push_back(
          room.subspan(static_cast<std::size_t>(location.entry.offset - start) + entry_header_size,
                       location.entry.stored_size));
    }
    room = room.subspan(size);
  }
  try {
    check_stored(entries, batch.stored, batch.room, batch.plain, needed_depth(locations));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::integrity) throw;
    read_one_by_one(locations, batch); // finds what has moved, and names what is damaged
  }
}

Depth ObjectStore::needed_depth(std::span<const Location> locations) const {
  const std::lock_guard lock(adopted_mutex_);
  const bool checked =
      std::all_of(locations.begin(), locations.end(),
                  [&](const Location& location) { return adopted_.contains(location.pack); });
  return checked ? Depth::checksums : Depth::digests;
}

void ObjectStore::read_one_by_one(std::span<const Location> locations, ObjectBatch& batch) {
  Bytes stored, plain, all_stored, all_plain;
  std::vector<std::pair<std::size_t, std::size_t>> sizes;
  for (const Location& location : locations) {
    read_stored(location, stored, plain);
    all_stored.insert(all_stored.end(), stored.begin(), stored.end());
    all_plain.insert(all_plain.end(), plain.begin(), plain.end());
    sizes.emplace_back(stored.size(), plain.size());
  }
  batch.bytes = std::move(all_stored);
  batch.room = std::move(all_plain);
  batch.stored.clear();
  batch.plain.clear();
  ByteSpan left_stored(batch.bytes), left_plain(batch.room);
  for (const auto& [stored_size, plain_size] : sizes) {
    batch.stored.push_back(left_stored.first(stored_size));
    batch.plain.push_back(left_plain.first(plain_size));
    left_stored = left_stored.subspan(stored_size);
    left_plain = left_plain.subspan(plain_size);
  }
}

Location ObjectStore::locate(const Digest& id) const {
  const auto location = index_.find(id);
  if (!location)
    throw Error(ErrorKind::not_found,
                fmt::format("object '{}' is not in the local store", id.short_hex()))
        .with_hint("run 'mlp data pull' to fetch it from a remote");
  return *location;
}

void ObjectStore::read(const Digest& id, Bytes& plain) {
  thread_local Bytes stored;
  read_stored(locate(id), stored, plain);
}

void ObjectStore::prepare(const std::stop_token& stop) {
  const std::lock_guard lock(write_mutex_);
  if (prepared_) return;
  for (const char* name : {"packs", "index", "tmp"})
    make_directories(directory_ / name);
  if (!lock_) {
    lock_.emplace(directory_ / "lock", "the object store", longest_wait, true, stop);
    reload(); // what was there when it was opened may have gone
  }
  remove_abandoned_packs(directory_);
  if (token().empty()) renew_token();
  prepared_ = true;
}

bool ObjectStore::claim(const Digest& id, std::uint64_t size) {
  bool known = index_.find(id).has_value();
  const std::lock_guard lock(pending_mutex_);
  if (!known) {
    known = !pending_.insert(id).second;
    if (!known && index_.find(id)) { // its pack was closed since the first search
      pending_.erase(id);
      known = true;
    }
  }
  if (known) {
    ++stats_.known_objects;
    stats_.known_bytes += size;
  }
  return !known;
}

Digest ObjectStore::put(PackKind kind, ByteSpan plain) {
  return put_each(kind, {&plain, 1}).front();
}

std::vector<Digest> ObjectStore::put_each(PackKind kind, std::span<const ByteSpan> plain) {
  if (!prepared_) prepare(); // what is known now must stay
  std::vector<Digest> ids(plain.size());
  sha256_each(plain, ids);
  std::vector<std::size_t> fresh;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    if (!claim(ids[i], plain[i].size())) continue;
    fresh.push_back(i);
    bytes += stored_bound(plain[i].size());
  }
  if (fresh.empty()) return ids;
  thread_local Bytes buffer;
  if (buffer.size() < bytes) buffer.resize(bytes);
  std::span<std::byte> room(buffer);
  std::vector<PackEntry> entries;
  std::vector<ByteSpan> stored;
  for (const std::size_t i : fresh) {
    const StoredForm form = compress(plain[i], level_, room);
    if (form.codec != Codec::raw) room = room.subspan(form.bytes.size());
    entries.push_back({.id = ids[i],
                       .stored_size = static_cast<std::uint32_t>(form.bytes.size()),
                       .plain_size = static_cast<std::uint32_t>(plain[i].size()),
                       .crc = crc32(form.bytes),
                       .codec = form.codec});
    stored.push_back(form.bytes);
  }
  append(kind, entries, stored);
  return ids;
}

std::size_t ObjectStore::put_stored(PackKind kind, std::span<const PackEntry> entries,
                                    std::span<const ByteSpan> stored) {
  if (!prepared_) prepare();
  std::vector<PackEntry> fresh;
  std::vector<ByteSpan> bytes;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!claim(entries[i].id, entries[i].plain_size)) continue;
    fresh.push_back(entries[i]);
    bytes.push_back(stored[i]);
  }
  if (!fresh.empty()) append(kind, fresh, bytes);
  return fresh.size();
}

void ObjectStore::append(PackKind kind, std::span<PackEntry> entries,
                         std::span<const ByteSpan> stored) {
  std::unique_lock lock(write_mutex_);
  auto& open = open_[static_cast<int>(kind)];
  if (!open) open = std::make_shared<PackWriter>(directory_, kind);
  const std::shared_ptr<PackWriter> pack = open;
  if (pack->place(entries, stored)) {
    lock.unlock();
    pack->write(entries, stored);
    lock.lock();
  }
  {
    const std::lock_guard stats_lock(pending_mutex_);
    for (const PackEntry& entry : entries) {
      ++stats_.new_objects;
      stats_.new_bytes += entry.plain_size;
      stats_.stored_bytes += entry.stored_size;
    }
  }
  if (open != pack || !pack->full()) return;
  if (kind == PackKind::meta) close_pack(PackKind::data, lock);
  close_pack(kind, lock);
}

// Returns when the open pack of that kind, and all that others are closing, are durable. The lock
// is given up meanwhile.
void ObjectStore::close_pack(PackKind kind, std::unique_lock<std::mutex>& lock) {
  const int k = static_cast<int>(kind);
  const std::shared_ptr<PackWriter> pack = std::move(open_[k]);
  if (pack) {
    ++closing_[k];
    lock.unlock();
    const auto done = [&] {
      lock.lock();
      --closing_[k];
      closed_.notify_all();
    };
    try {
      const Digest id = pack->finish();
      index_.add(id, kind, pack->entries());
      const std::lock_guard pending_lock(pending_mutex_);
      for (const auto& entry : pack->entries())
        pending_.erase(entry.id);
    } catch (...) {
      done();
      throw;
    }
    done();
  }
  if (kind == PackKind::data) closed_.wait(lock, [&] { return closing_[k] == 0; });
}

void ObjectStore::adopt(const Digest& pack, PackKind kind, std::span<const PackEntry> entries) {
  index_.add(pack, kind, entries);
  // Another user could change it after it was checked, and the checksums with it.
  if (!is_own(File::open_read(pack_path(pack)))) return;
  const std::lock_guard lock(adopted_mutex_);
  adopted_.insert(pack);
}

void ObjectStore::flush() {
  std::unique_lock lock(write_mutex_);
  close_pack(PackKind::data, lock);
  close_pack(PackKind::meta, lock);
  closed_.wait(lock, [&] { return closing_[0] == 0 && closing_[1] == 0; });
  if (prepared_) index_.compact();
}

StoreStats ObjectStore::stats() const {
  const std::lock_guard lock(pending_mutex_);
  return stats_;
}

std::string ObjectStore::token() const {
  const auto text = read_file_if_exists(directory_ / "token", 256);
  return std::string(trim(text.value_or("")));
}

void ObjectStore::renew_token() {
  write_file_atomic(directory_ / "token", random_token(20) + "\n");
}

void ObjectStore::set_aside(const Digest& pack) {
  make_directories(directory_ / "damaged");
  const fs::path source = pack_path(pack);
  const fs::path target = directory_ / "damaged" / source.filename();
  if (::rename(source.c_str(), target.c_str()) != 0 && errno != ENOENT)
    throw system_error(errno, "move", source.native());
  renew_token();
}

} // namespace mlp::data
