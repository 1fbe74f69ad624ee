// The interface to a place where a team keeps its objects: a folder, a bucket, a host. A backend
// (backends/storage/<name>) implements it, and tests/conformance/storage_test.cpp holds every one
// of them to the words below. Retry, rate limits and progress are decorators around it.
//
// Names are relative paths of components [A-Za-z0-9._-], none of which begins with '.'; see
// check_object_name(). Two kinds of content share them:
//   objects  immutable once written, named after their content: packs/<digest>.pack
//   refs     small texts below "refs/", changed only by compare_and_swap()
//
// Threads: every method may be called from any thread at the same time, but one ObjectWriter
// belongs to one thread at a time. Blocking: every method may block on disk or network; none waits
// without a bound of its own. Errors (thrown as mlp::Error, naming the object and the place):
// not_found, denied, unreachable (the place does not answer; a decorator may try again), failed.
#pragma once

#include "core/base/fs.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::data {

// An object being written. Nothing of it can be seen before commit() has returned; destruction
// without commit() abandons it and leaves the name as it was.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  // The bytes are copied or written before it returns. No limit on the total.
  virtual void append(std::span<const std::byte> data) = 0;
  // Makes the object visible and durable, in one step, replacing an object of that name. Called
  // once; nothing may be appended after it.
  virtual void commit() = 0;
  // After append() or commit() has thrown: true if another writer, given the same bytes from the
  // beginning, may do better. Never blocks.
  [[nodiscard]] virtual bool may_repeat() const { return false; }
};

struct ListedObject {
  std::string name;
  std::uint64_t size = 0;
};
struct ListPage {
  std::vector<ListedObject> objects; // in byte order of their names
  bool more = false;                 // call again with the last name as `after`
};

struct SwapResult {
  bool swapped = false;
  std::optional<std::string> current; // what the ref holds now; absent: there is no such ref
};

class Storage {
 public:
  virtual ~Storage() = default;

  // Where it is, for people: a URL without credentials. Never blocks.
  [[nodiscard]] virtual std::string location() const = 0;

  // How many reads at once keep it busy: few where a disk does the work, more where each of them
  // travels. Never blocks.
  [[nodiscard]] virtual unsigned parallel_reads() const { return 2; }

  // For each name its size, or nullopt where there is no such object. One round trip for many
  // names where the place can do that. A place that has never been written to has no objects.
  [[nodiscard]] virtual std::vector<std::optional<std::uint64_t>>
  has(std::span<const std::string> names) = 0;

  // Fills `into` from `offset` on; returns the bytes read, fewer only at the end of the object (0
  // at or beyond it). Throws not_found. Idempotent.
  virtual std::size_t read(std::string_view name, std::uint64_t offset,
                           std::span<std::byte> into) = 0;

  // The writer must not outlive the storage. Writing the same object again is harmless: the last
  // commit() wins. Throws failed for a name below "refs/".
  [[nodiscard]] virtual std::unique_ptr<ObjectWriter> write(std::string_view name) = 0;

  // Names that begin with `prefix` and come after `after`, at most `limit` (> 0) of them. An object
  // committed before the call, and not removed, is listed; what changes meanwhile may be or not.
  [[nodiscard]] virtual ListPage list(std::string_view prefix, std::string_view after,
                                      std::size_t limit) = 0;

  // Those that do not exist are passed over. Idempotent; stops at the first error.
  virtual void remove(std::span<const std::string> names) = 0;

  // The text of a ref; nullopt if there is none. Sees every swap that had returned before the call.
  [[nodiscard]] virtual std::optional<std::string> read_ref(std::string_view name) = 0;

  // Atomic over all threads, processes and machines: if the ref holds `expected` (absent: does not
  // exist), it becomes `desired` (absent: removed), durably. Of several callers with the same
  // `expected`, exactly one swaps. Not swapping is a result, not an error. At most 64 KiB of text.
  virtual SwapResult compare_and_swap(std::string_view name,
                                      const std::optional<std::string>& expected,
                                      const std::optional<std::string>& desired) = 0;

  // An optional ability, asked for by its type: nullptr where the place does not have it. The
  // pointer lives as long as the storage. A decorator that passes abilities on overrides this.
  template <class Ability>
  [[nodiscard]] Ability* ability() {
    return dynamic_cast<Ability*>(this);
  }
};

// Ability: can tell and remove what writers that died have left behind.
class AbandonedWrites {
 public:
  virtual ~AbandonedWrites() = default;
  // Never touches the writing of a live process. Returns how many it removed. Idempotent.
  virtual std::size_t remove_abandoned_writes() = 0;
};

// Ability: takes whole objects over from files of this machine, and gives them, without writing
// their bytes again. Nobody may change such a file afterwards.
class LinkedObjects {
 public:
  virtual ~LinkedObjects() = default;
  // Makes the file, which is durable, the object of that name, replacing one that is there. False
  // if that cannot be done, e.g. from another file system: nothing has happened then.
  virtual bool link_from(const fs::path& file, std::string_view name) = 0;
  // The other way.
  virtual bool link_to(std::string_view name, const fs::path& target) = 0;
};

inline constexpr std::size_t max_object_name = 512;
inline constexpr std::size_t max_ref_bytes = 64 * 1024;

// Throws Error(failed) that says why, unless the name may be used in every storage. Backends call
// it first in every method that takes a name.
void check_object_name(std::string_view name);
// The same, and it must be (`ref`) or must not be below "refs/".
void check_name_kind(std::string_view name, bool ref);

// A whole object of at most `max_bytes`; throws failed if it is larger.
[[nodiscard]] std::string read_object(Storage& storage, std::string_view name,
                                      std::size_t max_bytes);

} // namespace mlp::data
