// Which source a run was made from: commit, branch, and whether anything is not committed. Asked of
// libgit2, which is loaded when first needed; without it, or outside git, the answer is absent.
#pragma once

#include "core/base/fs.hpp"
#include "core/track/run_spec.hpp"

#include <chrono>
#include <optional>

namespace mlp::track {

// The state of the git work tree around `folder`. Dirty means: a tracked file differs from the
// commit, or there is a file that is neither tracked nor ignored. It stays absent if `time_limit`
// is over first (a big tree on a slow disk). nullopt outside git, or if git's files cannot be read.
// Blocks for about `time_limit` at most. Never throws; the reason of an absence is a debug message.
[[nodiscard]] std::optional<SourceState>
source_state(const fs::path& folder,
             std::chrono::milliseconds time_limit = std::chrono::milliseconds(2000));

} // namespace mlp::track
