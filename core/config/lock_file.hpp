// mlp.lock: the versions in use, the only state that git tracks. YAML with sorted keys, so that the
// same versions are the same bytes and a merge conflict is readable.
//
//   version: 1
//   datasets:
//     digits:
//       digest: sha256:...      of the dataset's manifest
//       files: 3
//       bytes: 103104
//   image:
//     system_inputs: sha256:... of what mlp.yaml said of base and system packages when the rest
//     python_inputs: sha256:... was found out, and of Python
//     environment: sha256:...   of the manifest of the image without the project's files
//     bases:
//       docker.io/library/debian:bookworm: sha256:...
//     system_packages:
//       - {name: libgomp1, version: 12.2.0-14, url: "http://...", digest: sha256:..., bytes:
//       116000}
//     python_packages:
//       - {name: numpy, version: 1.24.2, url: "https://...", digest: sha256:..., bytes: 17000000}
#pragma once

#include "core/base/digest.hpp"
#include "core/config/project.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::config {

struct DatasetLock {
  Digest digest;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  bool operator==(const DatasetLock&) const = default;
};

struct PackageLock {
  std::string name, version;
  std::string url; // without user and password
  Digest digest;   // of the file
  std::uint64_t bytes = 0;
  bool operator==(const PackageLock&) const = default;
};

struct ImageLock {
  Digest system_inputs, python_inputs;
  std::optional<Digest> environment;                         // absent until it was built
  std::map<std::string, Digest, std::less<>> bases;          // reference -> manifest or index
  std::vector<PackageLock> system_packages, python_packages; // in the order of their installation
  bool operator==(const ImageLock&) const = default;
};

struct LockFile {
  std::map<std::string, DatasetLock, std::less<>> datasets;
  std::optional<ImageLock> image;
  bool operator==(const LockFile&) const = default;
};

// Throw Error(config) with the position. A version newer than 1 is refused as such: "written by a
// newer mlp". `name` is what errors call the text.
[[nodiscard]] LockFile parse_lock_file(std::string text, std::string name = "mlp.lock");
[[nodiscard]] std::string format_lock_file(const LockFile& lock);

// Empty if the project has none yet. May run beside update_lock(): sees the state before or after.
[[nodiscard]] LockFile load_lock_file(const Project& project);

// Reads mlp.lock, lets `change` alter it, and replaces it atomically if it differs, all under the
// project's lock, so that two commands at once lose no update. Waits up to 30 s for the lock, then
// Error(conflict). `change` must not call update_lock() or the functions of edit.hpp. An Error that
// it throws leaves the file as it was.
void update_lock(const Project& project, const std::function<void(LockFile&)>& change);

} // namespace mlp::config
