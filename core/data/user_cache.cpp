// The time of the last link is the ctime of a file: making and removing links sets it.
#include "core/data/user_cache.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/data/directory.hpp"
#include "core/data/pack_reader.hpp"
#include "core/data/stat_cache.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace mlp::data {

namespace {

constexpr std::int64_t an_hour = 3600 * std::int64_t{1'000'000'000};

struct Kept {
  std::int64_t linked = 0; // nanoseconds since the epoch
  std::uint64_t bytes = 0;
  fs::path path;
};

// Files that nobody else has, below a folder. What another process may be writing is passed over.
void collect_unshared(const fs::path& folder, std::vector<Kept>& kept) {
  std::error_code code;
  for (fs::recursive_directory_iterator it(folder, code), end; !code && it != end;
       it.increment(code)) {
    struct stat info {};
    if (::lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (info.st_nlink > 1) continue;
    const std::int64_t linked = to_file_stat(info).ctime;
    if (is_temporary_name(it->path().filename().native()) && linked > now_nanoseconds() - an_hour)
      continue;
    kept.push_back({linked, static_cast<std::uint64_t>(info.st_blocks) * 512, it->path()});
  }
}

} // namespace

UserCache::UserCache(fs::path folder, std::uint64_t limit)
    : folder_(std::move(folder)), limit_(limit) {}

UserCache::~UserCache() = default;

ObjectStore* UserCache::objects() {
  std::call_once(opened_, [&] {
    try {
      objects_ = std::make_unique<ObjectStore>(folder_ / "objects");
    } catch (const Error& error) {
      warn(error);
    }
  });
  return objects_.get();
}

void UserCache::warn(const Error& error) {
  std::call_once(warned_, [&] {
    log_warning(fmt::format("the cache '{}' is not used: {}", folder_.native(), error.message()));
  });
}

std::optional<Location> UserCache::find(const Digest& id) {
  ObjectStore* const store = objects();
  return store == nullptr ? std::nullopt : store->find(id);
}

bool UserCache::read_stored(const Location& location, Bytes& stored, Bytes& plain) {
  try {
    objects_->read_stored(location, stored, plain);
    return true;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
    log_info(fmt::format("not had from the cache: {}", error.message()));
    drop(location.pack);
    return false;
  }
}

std::optional<std::uint64_t> UserCache::pack_size(const Digest& pack) {
  std::error_code gone;
  const std::uint64_t size = fs::file_size(objects_->pack_path(pack), gone);
  return gone ? std::nullopt : std::optional(size);
}

std::optional<std::uint64_t> UserCache::share(const Digest& pack, ObjectStore& store,
                                              Progress& progress) {
  const fs::path path = objects_->pack_path(pack);
  std::error_code gone;
  if (!fs::exists(path, gone)) return std::nullopt;
  const File file = File::open_read(path);
  const auto contents = read_sound_pack(
      [&](std::uint64_t offset, std::span<std::byte> into) { return file.read_at(into, offset); },
      file.size(), pack, [&](std::uint64_t bytes) { progress.advance(bytes); });
  if (!contents || !link_file(path, store.pack_path(pack))) return std::nullopt;
  store.adopt(pack, contents->kind, contents->entries);
  return file.size();
}

void UserCache::keep(const ObjectStore& store, const std::stop_token& stop) {
  ObjectStore* const cache = objects();
  if (cache == nullptr) return;
  try {
    for (const auto& [pack, kind] : store.packs()) {
      throw_if_stopped(stop);
      if (cache->index().has_pack(pack)) continue;
      cache->prepare(stop);
      const fs::path source = store.pack_path(pack);
      if (!link_file(source, cache->pack_path(pack))) {
        std::error_code gone;
        if (fs::exists(source, gone)) break; // another file system
        continue;
      }
      const File file = File::open_read(cache->pack_path(pack));
      const PackContents contents =
          read_pack_end([&](std::uint64_t offset,
                            std::span<std::byte> into) { return file.read_at(into, offset); },
                        file.size(), pack);
      cache->index().add(pack, contents.kind, contents.entries);
    }
    (void)trim();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
    warn(error);
  }
}

std::uint64_t UserCache::trim() {
  std::vector<Kept> kept;
  collect_unshared(folder_ / "objects" / "packs", kept);
  collect_unshared(files(), kept);
  std::uint64_t total = 0, removed = 0;
  for (const Kept& file : kept)
    total += file.bytes;
  if (total <= limit_) return 0;
  std::ranges::sort(kept, {}, &Kept::linked);
  for (const Kept& file : kept) {
    if (total - removed <= limit_) break;
    if (::unlink(file.path.c_str()) == 0) removed += file.bytes;
  }
  if (objects_) objects_->reload();
  return removed;
}

// What a process has open it can still read.
void UserCache::drop(const Digest& pack) {
  ::unlink(objects_->pack_path(pack).c_str());
  objects_->index().remove(pack);
}

} // namespace mlp::data
