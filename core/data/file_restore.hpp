// Writing one file of a version into a folder: to a temporary name beside its place, then renamed.
#pragma once

#include "core/base/progress.hpp"
#include "core/data/directory.hpp"
#include "core/data/manifest.hpp"
#include "core/data/stat_cache.hpp"
#include "core/data/store.hpp"
#include "core/data/task_pool.hpp"

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::data {

// From this size on restore_large() should be used, from outside the pool.
inline constexpr std::uint64_t large_restore = 8u << 20;

// Both leave the file, with its executable bit, under the entry's name in `directory`, replacing
// what is not a folder, and return its stat data. The modification time is set a second into the
// past, so that any later edit shows in it. Every chunk is checked against its digest. Throw Error;
// the old file is then untouched.
FileStat restore_small(const Directory& directory, const Entry& entry, ObjectStore& store,
                       Progress& progress);
FileStat restore_large(const Directory& directory, const Entry& entry, ObjectStore& store,
                       Progress& progress, TaskPool& pool, const std::stop_token& stop);

// The same from a file that has the content already: with its blocks shared, or as a hard link to
// it, which keeps its mode and times. nullopt if the file system cannot; nothing has happened then.
std::optional<FileStat> restore_clone(const Directory& directory, const Entry& entry,
                                      const File& source);
std::optional<FileStat> restore_hard_link(const Directory& directory, const Entry& entry,
                                          const Directory& source, const std::string& name);

// The same for a symbolic link. Never follows one.
FileStat restore_link(const Directory& directory, const Entry& entry);

// Removes those temporary files whose writers are dead.
void remove_dead_temporaries(const Directory& directory, const std::vector<std::string>& names);

} // namespace mlp::data
