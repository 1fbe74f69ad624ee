// The code that a run is made of: written down when it is made, and brought back when it is
// repeated. git has what is committed; the rest is taken into the project's object store.
#pragma once

#include "core/config/project.hpp"
#include "core/track/run_folder.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::data {
class ObjectStore;
}

namespace mlp::job {

struct CodeLimits {
  std::uint64_t files = 10'000;
  std::uint64_t bytes = 0; // 0: no code is taken
};

struct CapturedCode {
  std::optional<track::SourceState> source; // absent outside git, if nothing was taken either
  std::string left_out;                     // why the code is not all on record; empty: it is
  // As long as it lives, no collection of garbage takes the snapshot: until the run is there, which
  // needs it then.
  std::shared_ptr<const data::ObjectStore> store;
};

// The commit that the project is at, and a snapshot of the files that differ from it, or of all
// files outside git and before the first commit. The project's datasets, which have versions of
// their own, and .mlp are no code; what git ignores, or outside git .mlpignore, is none either.
// Blocks while it looks at the files; 2 s for git at most. Throws Error only if the object store
// cannot be written.
[[nodiscard]] CapturedCode capture_code(const config::Project& project,
                                        const std::vector<std::string>& dataset_paths,
                                        const CodeLimits& limits, const std::stop_token& stop = {});

// Makes the code of a run, with its datasets, in `target`, an empty folder: from git and the object
// store alone. Returns the project's folder in it. Throws Error: not_found if the run has no record
// of all of its code, or a commit or an object is not here; what checkout() throws.
fs::path restore_code(const config::Project& project, const track::RunSpec& spec,
                      const fs::path& target, const std::stop_token& stop = {});

} // namespace mlp::job
