// How a command reaches remotes by HTTP.
#pragma once

#include "cli/session.hpp"
#include "core/net/http.hpp"

namespace mlp {

// The settings net.*, with certificates also from SSL_CERT_FILE. A stop of the session ends every
// request.
[[nodiscard]] net::HttpOptions http_options(Session& session);

} // namespace mlp
