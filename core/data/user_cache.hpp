// What the projects of one user share on this machine, so that none fetches or stores again what
// another has.
//
//   objects/   a store (store.hpp) whose packs are those of projects, shared by reflink or hard
//              link: while a project has a pack, keeping it here costs nothing
//   files/     whole files that checkouts link into place; see linked_files.hpp
//
// Nothing in it is trusted: an object is checked against its digest when it is used, and whatever
// is missing or damaged comes from a remote as if there were no cache. It can be deleted at any
// time. Several processes may use it at once.
#pragma once

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/progress.hpp"
#include "core/data/store.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

namespace mlp::data {

// Thread-safe, but for keep() and trim().
class UserCache {
 public:
  // `limit`: most bytes that only the cache has; what hard links share with a project is not
  // counted. Touches nothing yet.
  UserCache(fs::path folder, std::uint64_t limit);
  ~UserCache();

  [[nodiscard]] std::optional<Location> find(const Digest& id);
  [[nodiscard]] fs::path files() const { return folder_ / "files"; }

  // The stored bytes, checked. False, and the pack is dropped, if they are not there or damaged.
  bool read_stored(const Location& location, Bytes& stored, Bytes& plain);
  [[nodiscard]] std::optional<std::uint64_t> pack_size(const Digest& pack);
  // Makes a pack one of `store` as well, where both lie on one file system: every byte is checked,
  // and none written. Returns its bytes, or nullopt if that cannot be done. `store` is prepared.
  std::optional<std::uint64_t> share(const Digest& pack, ObjectStore& store, Progress& progress);

  // Shares the packs of a store that the cache lacks, where both lie on one file system, and then
  // trims. A cache that cannot be read or written is no error: a warning says so once.
  void keep(const ObjectStore& store, const std::stop_token& stop);
  // Removes what was linked longest ago until the limit is kept. Returns the bytes removed. Throws
  // Error.
  std::uint64_t trim();

 private:
  ObjectStore* objects(); // opened on first use; null if that cannot be done
  void warn(const Error& error);
  void drop(const Digest& pack);

  fs::path folder_;
  std::uint64_t limit_;
  std::once_flag opened_;
  std::unique_ptr<ObjectStore> objects_;
  std::once_flag warned_;
};

} // namespace mlp::data
