// Runs as archives: tar, or tar compressed by zstd, one stream for a pipe or a file.
#pragma once

#include "core/track/run_copy.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace mlp::track {

using ArchiveSink = std::function<void(std::string_view)>;
using ArchiveSource = std::function<std::size_t(std::span<std::byte>)>; // 0 at the end

// Sends `run` to `sink` as an archive of one folder, its id, with what export_run() copies. Blocks
// on the file system and on `sink`; what that throws ends it. Throws Error: conflict if the run has
// not ended or is changed meanwhile, not_found, denied, interrupted.
CopiedRun archive_run(const RunFolder& run, bool compressed, const ArchiveSink& sink,
                      const std::stop_token& stop, Progress& progress,
                      const CopyLimits& limits = {});

// Unpacks an archive, compressed or not, into `folder`, which must be empty and nobody else's. It
// is trusted in nothing: paths and links lead only deeper, nothing is written through a link or
// twice, and limits hold for what is unpacked. Errors name it `name`. What the runs in it are is
// for import_run() to judge. Throws Error: integrity, failed (disk full), interrupted, and what
// `source` throws; `folder` then holds a part.
void unpack_archive(const ArchiveSource& source, const std::string& name, const fs::path& folder,
                    const std::stop_token& stop, Progress& progress, const CopyLimits& limits = {});

} // namespace mlp::track
