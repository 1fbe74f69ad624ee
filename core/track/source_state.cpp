// libgit2 through dlopen. The comparison with the work tree stops at the first difference, or when
// its time is over: both through libgit2's own callbacks.
#include "core/track/source_state.hpp"

#include "core/base/error.hpp"
#include "core/base/library.hpp"
#include "core/base/log.hpp"

#include <fmt/format.h>
#include <git2.h>

#include <memory>
#include <set>

namespace mlp::track {

namespace {

constexpr std::uint64_t max_ref_file_bytes = 16u << 20;

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

const Git& loaded_git() {
  static const Git git;
  return git;
}

// Whether there is a .git above: without one there is no need to load the library.
bool is_in_git(const fs::path& folder) {
  std::error_code code;
  fs::path above = fs::absolute(folder, code);
  while (!fs::exists(above / ".git", code)) {
    if (!above.has_relative_path()) return false;
    above = above.parent_path();
  }
  return true;
}

// Collects the texts that a file has in refs.
class RefFiles {
 public:
  RefFiles(const Git& git, git_repository* repository, std::string path)
      : git_(git), repository_(repository), path_(std::move(path)) {}

  void look_at(git_reference* reference, const std::string& ref) {
    git_reference* direct = nullptr;
    const int resolved = git_.reference_resolve(&direct, reference);
    if (resolved == GIT_ENOTFOUND) return; // a symbolic one, to a branch that is gone
    if (resolved != 0) throw failed(ref);
    git_.reference_free(direct);
    git_object* raw = nullptr;
    const int peeled = git_.reference_peel(&raw, reference, GIT_OBJECT_TREE);
    if (peeled == GIT_EPEEL || peeled == GIT_EINVALIDSPEC) return; // it names no commit
    if (peeled != 0) throw failed(ref);
    const std::unique_ptr<git_object, decltype(git_.object_free)> tree(raw, git_.object_free);
    git_tree_entry* found = nullptr;
    const int code =
        git_.tree_entry_bypath(&found, reinterpret_cast<const git_tree*>(raw), path_.c_str());
    if (code == GIT_ENOTFOUND) return;
    if (code != 0) throw failed(ref);
    const std::unique_ptr<git_tree_entry, decltype(git_.tree_entry_free)> entry(
        found, git_.tree_entry_free);
    if (git_.tree_entry_type(found) != GIT_OBJECT_BLOB) return;
    const git_oid* id = git_.tree_entry_id(found);
    char text[GIT_OID_HEXSZ + 1] = {};
    git_.oid_tostr(text, sizeof text, id);
    if (!seen_.insert(text).second) return;
    git_blob* blob_raw = nullptr;
    if (git_.blob_lookup(&blob_raw, repository_, id) != 0) throw failed(ref);
    const std::unique_ptr<git_blob, decltype(git_.blob_free)> blob(blob_raw, git_.blob_free);
    const auto size = git_.blob_rawsize(blob_raw);
    if (size > max_ref_file_bytes)
      throw Error(ErrorKind::config, fmt::format("'{}' of git's '{}' is too large", path_, ref));
    files.push_back({ref, std::string(static_cast<const char*>(git_.blob_rawcontent(blob_raw)),
                                      static_cast<std::size_t>(size))});
  }

  [[nodiscard]] Error failed(const std::string& ref) const {
    return Error(ErrorKind::failed,
                 fmt::format("cannot read '{}' of git's '{}': {}", path_, ref, git_.reason()));
  }

  std::vector<RefFile> files;

 private:
  const Git& git_;
  git_repository* repository_;
  std::string path_;
  std::set<std::string> seen_; // ids of blobs
};

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
  if (!is_in_git(folder)) return std::nullopt;
  try {
    return look(loaded_git(), folder, time_limit);
  } catch (const Error& error) {
    log_debug(fmt::format("no source state: {}", error.message()));
    return std::nullopt;
  }
}

std::vector<RefFile> file_of_refs(const fs::path& folder, const std::string& name) {
  if (!is_in_git(folder)) return {};
  const Git& git = loaded_git();
  git_repository* raw = nullptr;
  if (git.repository_open_ext(&raw, folder.c_str(), 0, nullptr) != 0)
    throw Error(ErrorKind::failed, fmt::format("cannot open the git repository: {}", git.reason()));
  const std::unique_ptr<git_repository, decltype(git.repository_free)> repository(
      raw, git.repository_free);
  const char* work = git.repository_workdir(raw);
  if (work == nullptr) return {}; // bare: it has no project in it
  const fs::path root = fs::canonical(work);
  RefFiles found(git, raw, (fs::canonical(folder) / name).lexically_relative(root).native());

  git_reference* head = nullptr;
  const int code = git.repository_head(&head, raw);
  if (code != 0 && code != GIT_EUNBORNBRANCH && code != GIT_ENOTFOUND) throw found.failed("HEAD");
  if (code == 0) {
    const std::unique_ptr<git_reference, decltype(git.reference_free)> reference(
        head, git.reference_free);
    found.look_at(head, "HEAD");
  }
  git_strarray names{};
  if (git.reference_list(&names, raw) != 0) throw found.failed("refs");
  const std::unique_ptr<git_strarray, decltype(git.strarray_dispose)> names_guard(
      &names, git.strarray_dispose);
  for (std::size_t i = 0; i < names.count; ++i) {
    git_reference* one = nullptr;
    if (git.reference_lookup(&one, raw, names.strings[i]) != 0)
      throw found.failed(names.strings[i]);
    const std::unique_ptr<git_reference, decltype(git.reference_free)> reference(
        one, git.reference_free);
    found.look_at(one, names.strings[i]);
  }
  return std::move(found.files);
}

} // namespace mlp::track
