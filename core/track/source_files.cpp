// Files as git's commits have them.
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/track/git.hpp"
#include "core/track/source_state.hpp"

#include <fmt/format.h>

#include <array>
#include <set>

namespace mlp::track {

namespace {

constexpr std::uint64_t max_ref_file_bytes = 16u << 20;

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

} // namespace

std::vector<RefFile> file_of_refs(const fs::path& folder, const std::string& name) {
  if (!is_in_git(folder)) return {};
  const Git& git = loaded_git();
  const GitPointer<git_repository> repository = open_repository(git, folder);
  git_repository* const raw = repository.get();
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

void checkout_commit(const fs::path& folder, const std::string& commit, const fs::path& target) {
  const Git& git = loaded_git();
  const GitPointer<git_repository> repository = open_repository(git, folder);
  git_oid id{};
  git_object* raw = nullptr;
  if (git.oid_fromstr(&id, commit.c_str()) != 0 ||
      git.object_lookup(&raw, repository.get(), &id, GIT_OBJECT_COMMIT) != 0)
    throw Error(ErrorKind::not_found,
                fmt::format("the git repository does not have commit {}", commit))
        .with_hint("fetch it with: git fetch --all");
  const GitPointer<git_object> object(raw, git.object_free);
  git_checkout_options options{};
  if (git.checkout_options_init(&options, GIT_CHECKOUT_OPTIONS_VERSION) != 0)
    throw Error(ErrorKind::failed, fmt::format("cannot check out a commit: {}", git.reason()));
  options.checkout_strategy = GIT_CHECKOUT_FORCE | GIT_CHECKOUT_DONT_UPDATE_INDEX;
  options.target_directory = target.c_str();
  if (git.checkout_tree(repository.get(), raw, &options) != 0)
    throw Error(ErrorKind::failed,
                fmt::format("cannot check out commit {}: {}", commit, git.reason()));
}

std::optional<HeadCommit> head_commit(const fs::path& folder) {
  if (!is_in_git(folder)) return std::nullopt;
  try {
    const Git& git = loaded_git();
    const GitPointer<git_repository> repository = open_repository(git, folder);
    git_reference* head = nullptr;
    if (git.repository_head(&head, repository.get()) != 0) return std::nullopt;
    const GitPointer<git_reference> reference(head, git.reference_free);
    git_object* object = nullptr;
    if (git.reference_peel(&object, head, GIT_OBJECT_COMMIT) != 0) return std::nullopt;
    const GitPointer<git_object> commit(object, git.object_free);
    HeadCommit out;
    std::array<char, GIT_OID_HEXSZ + 1> text{};
    git.oid_tostr(text.data(), text.size(), git.object_id(object));
    out.commit = text.data();
    // A commit is an object: libgit2's headers keep the derived type opaque.
    out.time = git.commit_time(reinterpret_cast<const git_commit*>(object));
    git_remote* remote = nullptr;
    if (git.remote_lookup(&remote, repository.get(), "origin") == 0) {
      const GitPointer<git_remote> origin(remote, git.remote_free);
      if (const char* url = git.remote_url(remote)) out.origin = url;
    }
    return out;
  } catch (const Error& error) {
    log_debug(fmt::format("no commit: {}", error.message()));
    return std::nullopt;
  }
}

} // namespace mlp::track
