// libgit2 through dlopen. The comparison with the work tree stops at the first difference, or when
// its time is over: both through libgit2's own callbacks.
#include "core/track/source_state.hpp"

#include "core/base/error.hpp"
#include "core/base/library.hpp"
#include "core/base/log.hpp"

#include <fmt/format.h>
#include <git2.h>

#include <memory>

namespace mlp::track {

namespace {

// Only what is called, with the types of the header that it was compiled against.
struct Git {
  Library library{{"libgit2.so.1.5", "libgit2.so.1.7", "libgit2.so.1.8", "libgit2.so.1.9"},
                  "libgit2-1.5"};
#define MLP_GIT(name)                                                                              \
  decltype(::git_##name)* name = library.function<decltype(::git_##name)>("git_" #name)
  MLP_GIT(libgit2_init);
  MLP_GIT(libgit2_version);
  MLP_GIT(error_last);
  MLP_GIT(repository_open_ext);
  MLP_GIT(repository_free);
  MLP_GIT(repository_head);
  MLP_GIT(repository_head_detached);
  MLP_GIT(repository_is_bare);
  MLP_GIT(reference_free);
  MLP_GIT(reference_shorthand);
  MLP_GIT(reference_peel);
  MLP_GIT(object_free);
  MLP_GIT(object_id);
  MLP_GIT(oid_tostr);
  MLP_GIT(commit_tree);
  MLP_GIT(tree_free);
  MLP_GIT(diff_options_init);
  MLP_GIT(diff_tree_to_workdir_with_index);
  MLP_GIT(diff_num_deltas);
  MLP_GIT(diff_free);
#undef MLP_GIT

  Git() {
    libgit2_init();
  }

  [[nodiscard]] std::string reason() const {
    const git_error* error = error_last();
    return error != nullptr && error->message != nullptr ? error->message : "unknown reason";
  }
};

using Clock = std::chrono::steady_clock;

struct Look {
  Clock::time_point deadline;
  bool found = false;
  bool late = false;
};

// A negative answer ends the comparison.
int on_difference(const git_diff*, const git_diff_delta*, const char*, void* payload) {
  static_cast<Look*>(payload)->found = true;
  return -1;
}
int on_file(const git_diff*, const char*, const char*, void* payload) {
  Look& look = *static_cast<Look*>(payload);
  look.late = Clock::now() > look.deadline;
  return look.late ? -1 : 0;
}

std::optional<bool> is_dirty(const Git& git, git_repository* repository, git_tree* tree,
                             std::chrono::milliseconds time_limit) {
  git_diff_options options{};
  if (git.diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION) != 0) return std::nullopt;
  Look look{Clock::now() + time_limit};
  // Into untracked folders, since an empty one is no change; the first file there ends it.
  options.flags =
      GIT_DIFF_INCLUDE_UNTRACKED | GIT_DIFF_RECURSE_UNTRACKED_DIRS | GIT_DIFF_SKIP_BINARY_CHECK;
  options.notify_cb = on_difference;
  options.progress_cb = on_file;
  options.payload = &look;
  git_diff* diff = nullptr;
  const int code = git.diff_tree_to_workdir_with_index(&diff, repository, tree, &options);
  const bool any = code == 0 && git.diff_num_deltas(diff) > 0;
  if (diff != nullptr) git.diff_free(diff);
  if (look.found || any) return true;
  if (look.late || code != 0) return std::nullopt;
  return false;
}

std::optional<SourceState> look(const Git& git, const fs::path& folder,
                                std::chrono::milliseconds time_limit) {
  git_repository* raw = nullptr;
  if (git.repository_open_ext(&raw, folder.c_str(), 0, nullptr) != 0) {
    log_debug(fmt::format("no source state: {}", git.reason()));
    return std::nullopt;
  }
  const std::unique_ptr<git_repository, decltype(git.repository_free)> repository(
      raw, git.repository_free);
  if (git.repository_is_bare(repository.get()) != 0) return std::nullopt;

  SourceState state;
  git_reference* head = nullptr;
  if (git.repository_head(&head, repository.get()) != 0) {
    state.dirty = true; // before the first commit nothing is committed
    return state;
  }
  const std::unique_ptr<git_reference, decltype(git.reference_free)> reference(head,
                                                                               git.reference_free);
  if (git.repository_head_detached(repository.get()) == 0)
    state.branch = git.reference_shorthand(head);
  git_object* object = nullptr;
  if (git.reference_peel(&object, head, GIT_OBJECT_COMMIT) != 0) {
    log_debug(fmt::format("no source state: {}", git.reason()));
    return std::nullopt;
  }
  const std::unique_ptr<git_object, decltype(git.object_free)> commit(object, git.object_free);
  char text[GIT_OID_HEXSZ + 1] = {};
  git.oid_tostr(text, sizeof text, git.object_id(object));
  state.commit = text;

  git_tree* tree = nullptr;
  // A commit is an object: libgit2's headers keep the derived type opaque.
  if (git.commit_tree(&tree, reinterpret_cast<const git_commit*>(object)) == 0) {
    state.dirty = is_dirty(git, repository.get(), tree, time_limit);
    git.tree_free(tree);
  }
  return state;
}

} // namespace

std::optional<SourceState> source_state(const fs::path& folder,
                                        std::chrono::milliseconds time_limit) {
  // Without a .git above there is no need to load the library.
  std::error_code code;
  fs::path above = fs::absolute(folder, code);
  while (!fs::exists(above / ".git", code)) {
    if (!above.has_relative_path()) return std::nullopt;
    above = above.parent_path();
  }
  try {
    static const Git git;
    return look(git, folder, time_limit);
  } catch (const Error& error) {
    log_debug(fmt::format("no source state: {}", error.message()));
    return std::nullopt;
  }
}

} // namespace mlp::track
