// How a command reaches remotes.
#pragma once

#include "backends/registry.hpp"
#include "cli/session.hpp"
#include "core/net/http.hpp"

namespace mlp {

// The settings net.*, with certificates also from SSL_CERT_FILE. A stop of the session ends every
// request.
[[nodiscard]] net::HttpOptions http_options(Session& session);
// The same for every kind of remote, with the settings ssh.*.
[[nodiscard]] StorageOptions storage_options(Session& session);

} // namespace mlp
