// The comparison with the work tree stops when its time is over, and at the first difference if the
// others are not asked for: both through libgit2's own callbacks.
#include "core/track/source_state.hpp"

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/track/git.hpp"

#include <fmt/format.h>

namespace mlp::track {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t most_changes = 10'000;

struct Look {
  Clock::time_point deadline;
  std::size_t allowed = 0; // differences that do not end the look
  std::size_t seen = 0;
  bool late = false;
};

// A negative answer ends the comparison.
int on_difference(const git_diff*, const git_diff_delta*, const char*, void* payload) {
  Look& look = *static_cast<Look*>(payload);
  return ++look.seen > look.allowed ? -1 : 0;
}
int on_file(const git_diff*, const char*, const char*, void* payload) {
  Look& look = *static_cast<Look*>(payload);
  look.late = Clock::now() > look.deadline;
  return look.late ? -1 : 0;
}

void take_changes(const Git& git, git_diff* diff, SourceChanges& changes) {
  changes.complete = true;
  for (std::size_t i = 0; i < git.diff_num_deltas(diff); ++i) {
    const git_diff_delta* delta = git.diff_get_delta(diff, i);
    const std::string path = delta->new_file.path;
    if (delta->status == GIT_DELTA_DELETED)
      changes.removed.emplace_back(delta->old_file.path);
    else if (path.ends_with('/') || delta->new_file.mode == GIT_FILEMODE_COMMIT)
      changes.complete = false; // a repository within this one
    else
      changes.changed.push_back(path);
  }
}

// Whether the work tree differs from the tree, which may be null: of no files. With `changes`, in
// what.
std::optional<bool> compare(const Git& git, git_repository* repository, git_tree* tree,
                            std::chrono::milliseconds time_limit, SourceChanges* changes) {
  git_diff_options options{};
  if (git.diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION) != 0) return std::nullopt;
  Look look{Clock::now() + time_limit, changes != nullptr ? most_changes : 0};
  // Into untracked folders, since an empty one is no change.
  options.flags =
      GIT_DIFF_INCLUDE_UNTRACKED | GIT_DIFF_RECURSE_UNTRACKED_DIRS | GIT_DIFF_SKIP_BINARY_CHECK;
  options.notify_cb = on_difference;
  options.progress_cb = on_file;
  options.payload = &look;
  git_diff* raw = nullptr;
  const int code = git.diff_tree_to_workdir_with_index(&raw, repository, tree, &options);
  const GitPointer<git_diff> diff(raw, git.diff_free);
  if (code == 0 && changes != nullptr) take_changes(git, raw, *changes);
  if (look.seen > 0 || (code == 0 && git.diff_num_deltas(raw) > 0)) return true;
  if (look.late || code != 0) return std::nullopt;
  return false;
}

// Where the folder lies in the work tree.
void take_place(const Git& git, git_repository* repository, const fs::path& folder,
                SourceState& state, SourceChanges* changes) {
  const fs::path root = fs::canonical(git.repository_workdir(repository));
  const fs::path place = fs::canonical(folder).lexically_relative(root);
  if (place != ".") state.folder = place.native();
  if (changes != nullptr) changes->root = root;
}

std::optional<SourceState> look(const Git& git, const fs::path& folder,
                                std::chrono::milliseconds time_limit, SourceChanges* changes) {
  const GitPointer<git_repository> repository = open_repository(git, folder);
  if (git.repository_is_bare(repository.get()) != 0) return std::nullopt;

  SourceState state;
  take_place(git, repository.get(), folder, state, changes);
  git_reference* head = nullptr;
  if (git.repository_head(&head, repository.get()) != 0) {
    state.dirty = true; // before the first commit nothing is committed
    if (changes != nullptr) (void)compare(git, repository.get(), nullptr, time_limit, changes);
    return state;
  }
  const GitPointer<git_reference> reference(head, git.reference_free);
  if (git.repository_head_detached(repository.get()) == 0)
    state.branch = git.reference_shorthand(head);
  git_object* object = nullptr;
  if (git.reference_peel(&object, head, GIT_OBJECT_COMMIT) != 0) {
    log_debug(fmt::format("no source state: {}", git.reason()));
    return std::nullopt;
  }
  const GitPointer<git_object> commit(object, git.object_free);
  char text[GIT_OID_HEXSZ + 1] = {};
  git.oid_tostr(text, sizeof text, git.object_id(object));
  state.commit = text;

  git_tree* tree = nullptr;
  // A commit is an object: libgit2's headers keep the derived type opaque.
  if (git.commit_tree(&tree, reinterpret_cast<const git_commit*>(object)) == 0) {
    state.dirty = compare(git, repository.get(), tree, time_limit, changes);
    git.tree_free(tree);
  }
  return state;
}

} // namespace

std::optional<SourceState>
source_state(const fs::path& folder, std::chrono::milliseconds time_limit, SourceChanges* changes) {
  if (!is_in_git(folder)) return std::nullopt;
  try {
    return look(loaded_git(), folder, time_limit, changes);
  } catch (const Error& error) {
    log_debug(fmt::format("no source state: {}", error.message()));
  } catch (const fs::filesystem_error& error) {
    log_debug(fmt::format("no source state: {}", error.what()));
  }
  return std::nullopt;
}

} // namespace mlp::track
