// A bucket as a remote: "s3:" URLs, for Amazon S3 and for stores that speak as it does (Ceph,
// MinIO). An object is an object of its name below the prefix, sent in parts when it is large. A
// ref is swapped by a conditional write (If-None-Match, If-Match), which the store has to know: it
// is asked once, before the first swap.
//
//   <prefix>/<name>                      objects and refs; a removed ref keeps an object that says
//   so <prefix>/.mlp-conditional-writes     what the store is asked with
#pragma once

#include "core/data/storage.hpp"
#include "core/net/aws.hpp"
#include "core/net/http.hpp"
#include "core/net/url.hpp"

#include <memory>

namespace mlp::storage {

// Contacts nothing yet, but reads the AWS settings of this user. Throws Error(config) for a URL or
// settings that are wrong.
[[nodiscard]] std::unique_ptr<data::Storage> open_s3_storage(const net::Url& url,
                                                             const net::HttpOptions& options,
                                                             const net::EnvironmentOf& environment);

} // namespace mlp::storage
