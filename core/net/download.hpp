// One file over HTTP, whole or not at all; what an interrupted download has is kept and gone on
// from.
#pragma once

#include "core/base/digest.hpp"
#include "core/base/progress.hpp"
#include "core/net/http.hpp"

#include <optional>
#include <string>

namespace mlp::net {

struct Downloaded {
  std::uint64_t bytes = 0;
  std::uint64_t resumed_at = 0; // bytes that an earlier download had
  Digest sha256;
};

// Fetches `url` to `target`, which appears whole and checked, replacing what is there. Until then
// the bytes are in `<target>.part`, with the server's ETag in `<target>.part.etag`: the next call
// goes on after them if the server still has that version. Tries again, from where it stopped, what
// may pass. Memory: a buffer. Blocks. Throws Error: not_found, denied, unreachable, failed,
// integrity if the bytes are not those of `expected` (they are then thrown away), interrupted by
// options.stop.
Downloaded download(const std::string& url, const fs::path& target,
                    const std::optional<Digest>& expected, HttpOptions options, Progress& progress);

class PartFile;

// The end of every such copy, from wherever: what `part` has, all of it, becomes the target.
// `origin` is who sent it, for the error of another digest than `expected`, with which the part is
// thrown away. Blocks. Throws Error: integrity, interrupted.
Downloaded finish_download(PartFile& part, const fs::path& target,
                           const std::optional<Digest>& expected, std::uint64_t resumed_at,
                           std::string_view origin, const std::stop_token& stop);

} // namespace mlp::net
