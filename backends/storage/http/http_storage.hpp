// A static web server over the folder of a file: remote, read only: "http:" and "https:" URLs. The
// server needs nothing but files and, to be quick, ranges. What there is stands in the file
// "listing.txt", which the file: remote keeps; without it there is nothing to be found.
#pragma once

#include "core/data/storage.hpp"
#include "core/net/http.hpp"
#include "core/net/url.hpp"

#include <memory>

namespace mlp::storage {

// Contacts nothing yet. A user name and password for the host are taken from ~/.netrc. Throws
// Error(config) for a URL with credentials, a query or a fragment.
[[nodiscard]] std::unique_ptr<data::Storage> open_http_storage(const net::Url& url,
                                                               const net::HttpOptions& options);

} // namespace mlp::storage
