// The local store. A worker that finds its pack full closes it outside the lock, while the others
// go on with a new one.
#include "core/data/store.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/text.hpp"
#include "core/data/pack_reader.hpp"
#include "core/data/pack_writer.hpp"

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

void ObjectStore::read(const Digest& id, Bytes& plain) {
  const auto location = index_.find(id);
  if (!location)
    throw Error(ErrorKind::not_found,
                fmt::format("object '{}' is not in the local store", id.short_hex()))
        .with_hint("run 'mlp data pull' to fetch it from a remote");
  thread_local Bytes stored;
  read_stored(*location, stored, plain);
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
  if (!prepared_) prepare(); // what is known now must stay
  PackEntry entry;
  entry.id = sha256(plain);
  if (!claim(entry.id, plain.size())) return entry.id;
  thread_local Bytes stored;
  entry.codec = compress(plain, level_, stored);
  entry.stored_size = static_cast<std::uint32_t>(stored.size());
  entry.plain_size = static_cast<std::uint32_t>(plain.size());
  entry.crc = crc32(stored);
  append(kind, entry, stored);
  return entry.id;
}

bool ObjectStore::put_stored(PackKind kind, const PackEntry& entry, ByteSpan stored) {
  if (!prepared_) prepare();
  if (!claim(entry.id, entry.plain_size)) return false;
  append(kind, entry, stored);
  return true;
}

void ObjectStore::append(PackKind kind, const PackEntry& entry, ByteSpan stored) {
  std::unique_lock lock(write_mutex_);
  auto& pack = open_[static_cast<int>(kind)];
  if (!pack) pack = std::make_unique<PackWriter>(directory_, kind);
  pack->append(entry, stored);
  {
    const std::lock_guard stats_lock(pending_mutex_);
    ++stats_.new_objects;
    stats_.new_bytes += entry.plain_size;
    stats_.stored_bytes += entry.stored_size;
  }
  if (!pack->full()) return;
  if (kind == PackKind::meta) close_pack(PackKind::data, lock);
  close_pack(kind, lock);
}

// Returns when the open pack of that kind, and all that others are closing, are durable. The lock
// is given up meanwhile.
void ObjectStore::close_pack(PackKind kind, std::unique_lock<std::mutex>& lock) {
  const int k = static_cast<int>(kind);
  const std::unique_ptr<PackWriter> pack = std::move(open_[k]);
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
