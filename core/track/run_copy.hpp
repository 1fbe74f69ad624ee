// Runs between projects and machines: a run folder is copied out of a project, or taken in from a
// folder that anyone may have made.
#pragma once

#include "core/base/fs.hpp"
#include "core/base/progress.hpp"
#include "core/track/run_folder.hpp"
#include "core/track/run_record.hpp"

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::track {

struct CopyLimits {
  std::uint64_t entries = 1'000'000; // files, folders and links
  std::uint64_t bytes = std::uint64_t{1} << 40;
  std::size_t depth = 64; // of folders
};

struct CopiedRun {
  RunFolder run;
  bool copied = false; // false: it was there, with the same content
  std::uint64_t files = 0, bytes = 0;
  std::vector<std::string> left_out; // of an export: links out of the run, and what is no file
  std::size_t damaged = 0;           // lines of its journals that cannot be read
  bool cut_off = false;              // of an import: it had not ended, and counts as lost here
};

// Both copy to a hidden name first, so that a run is there whole or not at all, and sync what they
// write; block on the file system; end with Error(interrupted) when `stop` asks for it. A run that
// is there already, with everything that the other has and no more than further events, is left as
// it is; one with other content is Error(conflict). Locks and progress are never copied.

// The record of a run that has ended; Error(conflict) for one that has not.
[[nodiscard]] RunRecord check_ended(const RunFolder& run);

// Copies `run` to `folder`/<id>. Throws Error: conflict if it has not ended, not_found, denied.
CopiedRun export_run(const RunFolder& run, const fs::path& folder, const std::stop_token& stop,
                     Progress& progress, const CopyLimits& limits = {});

// Takes the run folder `source` into `runs`. It is trusted in nothing: links may lead only deeper
// into outs/ or checkpoints/, what is neither file nor folder nor such a link is refused, and so is
// what is above a limit or whose spec.json cannot be read (Error config, integrity). Files get
// plain modes. A run that had not ended gets one event more, which says that it was cut off.
CopiedRun import_run(const fs::path& source, const fs::path& runs, const std::stop_token& stop,
                     Progress& progress, const CopyLimits& limits = {});

} // namespace mlp::track
