// One library for the process; its repositories belong to who opens them.
#include "core/track/git.hpp"

#include <fmt/format.h>

namespace mlp::track {

const Git& loaded_git() {
  static const Git git;
  return git;
}

bool is_in_git(const fs::path& folder) {
  std::error_code code;
  fs::path above = fs::absolute(folder, code);
  while (!fs::exists(above / ".git", code)) {
    if (!above.has_relative_path()) return false;
    above = above.parent_path();
  }
  return true;
}

GitPointer<git_repository> open_repository(const Git& git, const fs::path& folder) {
  git_repository* raw = nullptr;
  if (git.repository_open_ext(&raw, folder.c_str(), 0, nullptr) != 0)
    throw Error(ErrorKind::failed, fmt::format("cannot open the git repository: {}", git.reason()));
  return {raw, git.repository_free};
}

} // namespace mlp::track
