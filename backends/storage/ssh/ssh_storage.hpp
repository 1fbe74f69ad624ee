// A folder of another machine as a remote, "ssh:" URLs: the system's ssh starts `mlp storage-serve`
// there, which serves it as the file: remote that it is (see wire.hpp).
#pragma once

#include "backends/storage/ssh/ssh_place.hpp"
#include "core/data/storage.hpp"
#include "core/net/url.hpp"

#include <memory>

namespace mlp::storage {

// Contacts nothing yet. Throws Error(config) for a URL or options that cannot be used.
[[nodiscard]] std::unique_ptr<data::Storage> open_ssh_storage(const net::Url& url,
                                                              const SshOptions& options);

} // namespace mlp::storage
