// The other end of an ssh: remote: a storage served over two descriptors by the protocol of
// wire.hpp.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/storage.hpp"

#include <memory>
#include <string>

namespace mlp::storage {

// The absolute path that the path of an ssh: URL names on this machine, "/~/" being `home`. Throws
// Error(config) for one that is not absolute or not well encoded, and where there is no home.
[[nodiscard]] fs::path served_path(const std::string& encoded, const std::string& home);

// Serves `storage`, and the file at `path` as it is, until `in` ends; then what is being written is
// abandoned. `software` is this program's version, for the client's messages. Owns neither
// descriptor; SIGPIPE must be ignored. A few requests are worked on at once; memory: 1 MiB for
// each, and what is queued. Throws Error(integrity) where the client breaks the protocol, having
// told it if it still listens.
void serve_storage(data::Storage& storage, const fs::path& path, const std::string& software,
                   int in, int out);

} // namespace mlp::storage
