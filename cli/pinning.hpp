// The datasets of a run, each at a version that is on record.
#pragma once

#include "cli/session.hpp"
#include "core/track/run_spec.hpp"

#include <string>
#include <vector>

namespace mlp {

// The versions that the work tree has now. A dataset that has none yet, or whose files have
// changed, is added first, as `mlp data add` would, and one that mlp.lock pins and whose files are
// not there is pulled, as `mlp data pull` would; a status line says so: every run knows what it was
// trained on. With `dry_run` nothing is changed. Throws Error.
[[nodiscard]] std::vector<track::DatasetUse>
pinned_datasets(Session& session, const std::vector<std::string>& names, bool dry_run);

} // namespace mlp
