// One object of a bucket, of any key, as a file: whole or not at all; what an interrupted copy has
// is kept and gone on from.
#pragma once

#include "core/base/progress.hpp"
#include "core/net/aws.hpp"
#include "core/net/download.hpp"
#include "core/net/url.hpp"

#include <optional>

namespace mlp::storage {

// As net::download() does, from "s3://bucket/key" with the parameters of read_s3_url(). Every part
// is asked for on the condition that the object is still the same one. Memory: a few parts. Blocks.
// Throws Error: config, not_found, denied, unreachable, conflict where the object is replaced while
// it is read, integrity if the bytes are not those of `expected`, interrupted by options.stop.
net::Downloaded copy_s3_file(const net::Url& url, const fs::path& target,
                             const std::optional<Digest>& expected, const net::HttpOptions& options,
                             const net::EnvironmentOf& environment, Progress& progress);

} // namespace mlp::storage
