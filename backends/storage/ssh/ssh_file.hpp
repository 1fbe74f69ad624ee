// One file of another machine, by ssh: whole or not at all; what an interrupted copy has is kept
// and gone on from. mlp must be at the other end, as for a remote.
#pragma once

#include "backends/storage/ssh/ssh_place.hpp"
#include "core/base/progress.hpp"
#include "core/net/download.hpp"
#include "core/net/url.hpp"

#include <optional>

namespace mlp::storage {

// As net::download() does, from "ssh://[user@]host[:port]/path/to/file". Memory: a few buffers.
// Blocks. Throws Error: config, not_found, denied, unreachable, conflict where the file changes
// while it is read, integrity if the bytes are not those of `expected`, interrupted.
net::Downloaded copy_ssh_file(const net::Url& url, const fs::path& target,
                              const std::optional<Digest>& expected, const SshOptions& options,
                              Progress& progress);

} // namespace mlp::storage
