// libgit2, loaded when it is first needed. Internal to core/track.
// Source: libgit2.org/libgit2 (API reference).
#pragma once

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/library.hpp"

#include <git2.h>

#include <memory>
#include <string>

namespace mlp::track {

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
  MLP_GIT(commit_time);
  MLP_GIT(remote_lookup);
  MLP_GIT(remote_url);
  MLP_GIT(remote_free);
  MLP_GIT(tree_free);
  MLP_GIT(diff_options_init);
  MLP_GIT(diff_tree_to_workdir_with_index);
  MLP_GIT(diff_num_deltas);
  MLP_GIT(diff_free);
  MLP_GIT(repository_workdir);
  MLP_GIT(reference_list);
  MLP_GIT(reference_lookup);
  MLP_GIT(reference_resolve);
  MLP_GIT(strarray_dispose);
  MLP_GIT(tree_entry_bypath);
  MLP_GIT(tree_entry_free);
  MLP_GIT(tree_entry_id);
  MLP_GIT(tree_entry_type);
  MLP_GIT(blob_lookup);
  MLP_GIT(blob_free);
  MLP_GIT(blob_rawsize);
  MLP_GIT(blob_rawcontent);
  MLP_GIT(diff_get_delta);
  MLP_GIT(oid_fromstr);
  MLP_GIT(object_lookup);
  MLP_GIT(checkout_options_init);
  MLP_GIT(checkout_tree);
#undef MLP_GIT

  Git() {
    libgit2_init();
  }

  [[nodiscard]] std::string reason() const {
    const git_error* error = error_last();
    return error != nullptr && error->message != nullptr ? error->message : "unknown reason";
  }
};

// Throws Error(not_found) if it is not installed. Thread-safe.
const Git& loaded_git();

// Whether there is a .git above: without one there is no need to load the library.
bool is_in_git(const fs::path& folder);

// Owns an object of libgit2.
template <class T>
using GitPointer = std::unique_ptr<T, void (*)(T*)>;

// The repository around a folder. Throws Error(failed), with git's reason.
GitPointer<git_repository> open_repository(const Git& git, const fs::path& folder);

} // namespace mlp::track
