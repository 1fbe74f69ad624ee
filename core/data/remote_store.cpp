// Reading and writing packs through the storage interface.
#include "core/data/remote_store.hpp"

#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/data/pack_reader.hpp"
#include "core/data/task_pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace mlp::data {

namespace {

constexpr std::size_t list_page = 1000;
constexpr unsigned end_readers = 4;
constexpr std::uint64_t window_before = 768 * 1024, window_after = 256 * 1024;
constexpr std::size_t send_buffer = 1u << 20;
constexpr unsigned send_attempts = 5; // where the storage says that another may do better

} // namespace

fs::path remote_cache(const fs::path& cache, const Storage& storage) {
  return cache / "remotes" / sha256(storage.location()).hex().substr(0, 32);
}

RemoteStore::RemoteStore(Storage& storage, const fs::path& cache, const std::stop_token& stop)
    : storage_(storage), index_(cache) {
  (void)reload(stop);
}

bool RemoteStore::reload(const std::stop_token& stop) {
  const std::map<Digest, std::uint64_t> before = std::exchange(packs_, {});
  damaged_.clear();
  std::string after;
  for (bool more = true; more;) {
    throw_if_stopped(stop);
    const ListPage page = storage_.list("packs/", after, list_page);
    for (const auto& object : page.objects) {
      if (const auto id = parse_pack_name(object.name)) packs_.emplace(*id, object.size);
    }
    more = page.more && !page.objects.empty();
    if (more) after = page.objects.back().name;
  }
  std::vector<Digest> present;
  for (const auto& [id, size] : packs_)
    present.push_back(id);
  const std::vector<Digest> unknown = index_.load(present);
  if (unknown.empty()) return packs_ != before;

  std::mutex mutex; // over damaged_
  std::vector<std::future<void>> ends;
  TaskPool pool(end_readers, end_readers);
  for (const Digest& id : unknown) {
    throw_if_stopped(stop);
    ends.push_back(pool.submit([this, &mutex, id, size = packs_.at(id)] {
      try {
        const PackContents contents = read_pack_end(
            [&](std::uint64_t offset, std::span<std::byte> into) {
              return storage_.read(pack_name(id), offset, into);
            },
            size, id);
        index_.add(id, contents.kind, contents.entries);
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::not_found) return; // removed meanwhile
        if (error.kind() != ErrorKind::integrity) throw;
        log_warning(fmt::format("pack '{}' at '{}' is damaged: {}", id.short_hex(),
                                storage_.location(), error.message()));
        const std::lock_guard lock(mutex);
        damaged_.emplace(id, error.message());
      }
    }));
  }
  for (auto& end : ends)
    end.get();
  index_.compact();
  return packs_ != before;
}

RemoteStore::~RemoteStore() = default;

Error RemoteStore::named(Error error, const Location& location) const {
  error.add_context(fmt::format("while reading object '{}' of pack '{}' at '{}'",
                                location.entry.id.short_hex(), location.pack.short_hex(),
                                storage_.location()));
  if (error.kind() == ErrorKind::integrity)
    error.add_hint("run 'mlp data verify --remote' to see what is affected");
  return error;
}

void RemoteStore::read_stored(const Location& location, Bytes& stored, Bytes& plain) {
  const std::uint64_t offset = location.entry.offset + entry_header_size;
  const std::size_t size = location.entry.stored_size;
  try {
    const std::string name = pack_name(location.pack);
    stored.resize(size);
    if (location.kind == PackKind::data) {
      stored.resize(storage_.read(name, offset, stored));
    } else {
      const std::lock_guard lock(window_mutex_);
      if (window_pack_ != location.pack || offset < window_offset_ ||
          offset + size > window_offset_ + window_.size()) {
        window_pack_ = location.pack;
        window_offset_ = offset - std::min(offset, window_before);
        window_.resize(static_cast<std::size_t>(offset - window_offset_ + size + window_after));
        window_.resize(storage_.read(name, window_offset_, window_));
      }
      const std::uint64_t start = offset - window_offset_;
      const std::size_t there =
          window_.size() <= start
              ? 0
              : std::min(size, window_.size() - static_cast<std::size_t>(start));
      stored.resize(there);
      std::memcpy(stored.data(), window_.data() + start, there);
    }
    check_stored(location.entry, stored, plain);
  } catch (Error& error) {
    throw named(std::move(error), location);
  }
}

void RemoteStore::read(const Digest& id, Bytes& plain) {
  const auto location = index_.find(id);
  if (!location)
    throw Error(ErrorKind::not_found,
                fmt::format("object '{}' is not at '{}'", id.short_hex(), storage_.location()))
        .with_hint("run 'mlp data push' where the data was added");
  thread_local Bytes stored;
  read_stored(*location, stored, plain);
}

namespace {

constexpr std::size_t range_bytes = 4u << 20;

// Reads objects in the order in which they lie, many at once.
class RangeReader {
 public:
  explicit RangeReader(Storage& storage) : storage_(storage) {}

  void read(const Location& location, Bytes& stored) {
    const std::uint64_t offset = location.entry.offset + entry_header_size;
    const std::size_t size = location.entry.stored_size;
    if (pack_ != location.pack || offset < offset_ || offset + size > offset_ + range_.size()) {
      pack_ = location.pack;
      offset_ = offset;
      range_.resize(std::max(size, range_bytes));
      range_.resize(storage_.read(pack_name(pack_), offset_, range_));
    }
    const auto start = static_cast<std::size_t>(offset - offset_);
    const std::size_t there = std::min(size, range_.size() - std::min(start, range_.size()));
    const ByteSpan found = ByteSpan(range_).subspan(std::min(start, range_.size()), there);
    stored.assign(found.begin(), found.end());
    check_stored(location.entry, stored, plain_);
  }

 private:
  Storage& storage_;
  Digest pack_;
  std::uint64_t offset_ = 0;
  Bytes range_, plain_;
};

} // namespace

// Leaves the new pack's id in `pack` and returns its size.
std::uint64_t RemoteStore::send(PackKind kind, std::vector<PackEntry>& entries,
                                const ReadSome& read, Progress& progress, Digest& pack) {
  std::vector<PackEntry> by_id = entries; // entries keep their order in the pack
  (void)lay_out(by_id);
  (void)lay_out(entries);
  const PackEnd end = encode_pack_end(kind, by_id);
  pack = end.id;
  std::uint64_t reported = 0;
  const auto send_whole = [&](ObjectWriter& writer) {
    Bytes buffer = encode_pack_header(kind);
    std::uint64_t sent = 0;
    const auto flush = [&] {
      writer.append(buffer);
      sent += buffer.size();
      if (sent > reported) progress.advance(sent - reported);
      reported = std::max(reported, sent);
      buffer.clear();
    };
    for (std::size_t i = 0; i < entries.size();) {
      const std::size_t count = one_batch(std::span(entries).subspan(i));
      for (const ByteSpan stored : read(i, count)) {
        append_entry_header(entries[i++], buffer);
        buffer.insert(buffer.end(), stored.begin(), stored.end());
        if (buffer.size() >= send_buffer) flush();
      }
    }
    buffer.insert(buffer.end(), end.bytes.begin(), end.bytes.end());
    flush();
    writer.commit();
    return sent;
  };
  for (unsigned attempt = 1;; ++attempt) {
    const auto writer = storage_.write(pack_name(end.id));
    try {
      const std::uint64_t sent = send_whole(*writer);
      index_.add(end.id, kind, by_id);
      return sent;
    } catch (const Error& error) {
      if (attempt == send_attempts || !writer->may_repeat()) throw;
      log_info(fmt::format("sending pack '{}' again: {}", end.id.short_hex(), error.message()));
    }
  }
}

std::uint64_t RemoteStore::send_pack(ObjectStore& local, PackKind kind,
                                     std::vector<PackEntry> entries, Progress& progress) {
  ObjectBatch batch;
  std::vector<Location> locations;
  const auto read = [&](std::size_t first, std::size_t count) -> std::span<const ByteSpan> {
    locations.clear();
    for (std::size_t i = first; i < first + count; ++i)
      locations.push_back(local.locate(entries[i].id));
    local.read_each(locations, batch);
    for (std::size_t i = 0; i < count; ++i) {
      const PackEntry& entry = entries[first + i];
      if (batch.stored[i].size() != entry.stored_size || locations[i].entry.crc != entry.crc)
        throw Error(ErrorKind::conflict, "the local store changed meanwhile")
            .with_hint("run the command again");
    }
    return batch.stored;
  };
  Digest pack;
  return send(kind, entries, read, progress, pack);
}

PackContents RemoteStore::contents(const Digest& pack) {
  const auto read = [&](std::uint64_t offset, std::span<std::byte> into) {
    return storage_.read(pack_name(pack), offset, into);
  };
  return read_pack_end(read, packs_.at(pack), pack);
}

Digest RemoteStore::send_again(PackKind kind, const std::vector<Location>& objects) {
  std::vector<PackEntry> entries;
  for (const Location& location : objects)
    entries.push_back(location.entry);
  RangeReader reader(storage_);
  std::vector<Bytes> read_now;
  std::vector<ByteSpan> views;
  const auto read = [&](std::size_t first, std::size_t count) -> std::span<const ByteSpan> {
    read_now.resize(count);
    views.clear();
    for (std::size_t i = 0; i < count; ++i) {
      try {
        reader.read(objects[first + i], read_now[i]);
      } catch (Error& error) {
        throw named(std::move(error), objects[first + i]);
      }
      views.emplace_back(read_now[i]);
    }
    return views;
  };
  Digest pack;
  (void)send(kind, entries, read, no_progress(), pack);
  return pack;
}

void RemoteStore::remove(const std::vector<Digest>& packs) {
  std::vector<std::string> names;
  for (const Digest& pack : packs)
    names.push_back(pack_name(pack));
  storage_.remove(names);
  for (const Digest& pack : packs) {
    index_.remove(pack);
    packs_.erase(pack);
  }
}

std::optional<std::uint64_t> RemoteStore::link_from(ObjectStore& local, const Digest& pack,
                                                    Progress& progress) {
  auto* linked = storage_.ability<LinkedObjects>();
  if (linked == nullptr) return std::nullopt;
  const File file = File::open_read(local.pack_path(pack));
  const auto contents =
      read_own_pack(file, pack, [&](std::uint64_t bytes) { progress.advance(bytes); });
  if (!contents || !linked->link_from(local.pack_path(pack), pack_name(pack))) return std::nullopt;
  index_.add(pack, contents->kind, contents->entries);
  return file.size();
}

std::optional<std::uint64_t> RemoteStore::link_to(ObjectStore& local, const Digest& pack,
                                                  Progress& progress) {
  auto* linked = storage_.ability<LinkedObjects>();
  const auto size = packs_.find(pack);
  if (linked == nullptr || size == packs_.end()) return std::nullopt;
  const auto contents = read_sound_pack(
      [&](std::uint64_t offset, std::span<std::byte> into) {
        return storage_.read(pack_name(pack), offset, into);
      },
      size->second, pack, [&](std::uint64_t bytes) { progress.advance(bytes); });
  if (!contents || !linked->link_to(pack_name(pack), local.pack_path(pack))) return std::nullopt;
  local.adopt(pack, contents->kind, contents->entries);
  return size->second;
}

} // namespace mlp::data
