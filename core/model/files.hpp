// The files of a model as a tree in the object store, the same format as a dataset's version.
#pragma once

#include "core/base/digest.hpp"
#include "core/base/fs.hpp"
#include "core/base/progress.hpp"

#include <cstdint>

namespace mlp::data {
class ObjectStore;
}

namespace mlp::model {

struct StoredFiles {
  Digest digest; // of the manifest
  std::uint64_t files = 0, bytes = 0;
};

// Stores a folder, or one file (as a folder that holds it). Durable when it returns. Throws Error:
// not_found, usage for a folder without files or with a symbolic link, denied, failed.
[[nodiscard]] StoredFiles store_files(data::ObjectStore& store, const fs::path& files);

// Writes them to `target`, checked against their digests. Throws Error: not_found, integrity,
// conflict (see data::checkout), denied, failed.
void restore_files(const fs::path& objects, const Digest& digest, const fs::path& target,
                   bool force, Progress& progress);

} // namespace mlp::model
