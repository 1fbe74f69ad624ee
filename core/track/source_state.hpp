// Which source a run was made from: commit, branch, and whether anything is not committed. Asked of
// libgit2, which is loaded when first needed; without it, or outside git, the answer is absent.
#pragma once

#include "core/base/fs.hpp"
#include "core/track/run_spec.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace mlp::track {

// In what a work tree differs from its commit.
struct SourceChanges {
  fs::path root;                    // of the work tree; the paths are relative to it
  std::vector<std::string> changed; // other than committed, or neither tracked nor ignored
  std::vector<std::string> removed;
  bool complete = false; // false: there was no time, there were more than 10,000, or there is a
                         // repository within this one that has changed
};

// The state of the git work tree around `folder`. Dirty means: a tracked file differs from the
// commit, or there is a file that is neither tracked nor ignored. It stays absent if `time_limit`
// is over first (a big tree on a slow disk). nullopt outside git, or if git's files cannot be read.
// With `changes`, which then hold what differs, it is slower. Blocks for about `time_limit` at
// most. Never throws; the reason of an absence is a debug message.
[[nodiscard]] std::optional<SourceState>
source_state(const fs::path& folder,
             std::chrono::milliseconds time_limit = std::chrono::milliseconds(2000),
             SourceChanges* changes = nullptr);

// The commit that is checked out, and where the repository came from.
struct HeadCommit {
  std::string commit;    // 40 hexadecimal characters
  std::int64_t time = 0; // of the commit, seconds since 1970
  std::string origin;    // URL of the remote "origin", as git has it; may be empty
};
// nullopt outside git, before the first commit, and where libgit2 is not installed. Blocks.
[[nodiscard]] std::optional<HeadCommit> head_commit(const fs::path& folder);

// Writes the files of a commit of the repository around `folder` to `target`, an empty folder.
// Changes nothing in the repository. Blocks. Throws Error: not_found if it does not have the
// commit, or libgit2 is not installed; failed, with git's reason.
void checkout_commit(const fs::path& folder, const std::string& commit, const fs::path& target);

// What a file is in some git ref.
struct RefFile {
  std::string ref; // "refs/heads/main", "HEAD"
  std::string text;
};

// The file `name` of `folder` as the commits have it that git's refs (branches, tags, remotes,
// the latest stash, all of them) and HEAD point at; equal texts once. Empty outside git, and before
// the first commit. Refs to no commit, and commits without the file, are passed over. Throws Error:
// not_found if libgit2 is not installed; failed, with git's reason, if the repository or an object
// cannot be read; config if the file is larger than 16 MiB.
[[nodiscard]] std::vector<RefFile> file_of_refs(const fs::path& folder, const std::string& name);

} // namespace mlp::track
