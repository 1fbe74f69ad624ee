// Few files differ from a commit: they are copied into a folder of their own and scanned there. A
// folder without git is scanned where it is, with a stat cache.
#include "core/job/code.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/data/checkout.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/transfer.hpp"
#include "core/data/version_builder.hpp"
#include "core/track/source_state.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::job {

namespace {

constexpr const char* advice = "its runs cannot be reproduced";

bool is_below(const fs::path& path, const fs::path& folder) {
  const auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

// A pattern of .mlpignore for one path below the root.
data::IgnorePattern pattern_of(const fs::path& path) {
  data::IgnorePattern pattern;
  pattern.anchored = true;
  for (const fs::path& part : path) {
    std::string component;
    for (const char c : part.native()) {
      if (c == '*' || c == '?' || c == '[' || c == '\\') component += '\\';
      component += c;
    }
    if (!component.empty()) pattern.components.push_back(std::move(component));
  }
  return pattern;
}

std::string too_much(const CodeLimits& limits) {
  return fmt::format("there are more than {} or {} files of it (setting runs.code_limit): {}",
                     format_bytes(limits.bytes), limits.files, advice);
}

class Capture {
 public:
  Capture(const config::Project& project, const std::vector<std::string>& dataset_paths,
          const CodeLimits& limits, const std::stop_token& stop)
      : project_(project), limits_(limits), stop_(stop) {
    no_code_.push_back(".mlp");
    for (const std::string& path : dataset_paths)
      no_code_.push_back(fs::path(path).lexically_normal());
  }

  CapturedCode run() {
    CapturedCode code;
    track::SourceChanges changes;
    code.source = track::source_state(project_.root, std::chrono::milliseconds(2000),
                                      limits_.bytes == 0 ? nullptr : &changes);
    const bool committed = code.source && code.source->dirty == false;
    if (limits_.bytes != 0 && !committed) {
      if (!code.source)
        take_folder(code);
      else if (code.source->dirty && changes.complete)
        take_changes(changes, code);
      else
        code.left_out = fmt::format("uncommitted changes are not kept, they are too many or in "
                                    "repositories within this one: {}",
                                    advice);
    }
    if (code.source)
      code.source->complete = committed || (limits_.bytes != 0 && code.left_out.empty());
    return code;
  }

 private:
  // The project's own path of a file of the work tree, to see whether it is code.
  [[nodiscard]] bool is_code(const std::string& path, const std::string& folder) const {
    const fs::path of_project = fs::path(path).lexically_relative(folder.empty() ? "." : folder);
    return std::none_of(no_code_.begin(), no_code_.end(),
                        [&](const fs::path& other) { return is_below(of_project, other); });
  }

  void take_changes(const track::SourceChanges& changes, CapturedCode& code) {
    track::SourceState& source = *code.source;
    for (const std::string& path : changes.removed)
      if (is_code(path, source.folder)) source.removed.push_back(path);
    std::vector<std::string> files;
    std::uint64_t bytes = 0;
    for (const std::string& path : changes.changed) {
      if (!is_code(path, source.folder)) continue;
      std::error_code error;
      const std::uintmax_t size = fs::file_size(changes.root / path, error);
      bytes += error ? 0 : size;
      files.push_back(path);
    }
    if (bytes > limits_.bytes || files.size() > limits_.files) {
      code.left_out = "uncommitted changes are not kept, " + too_much(limits_);
      return;
    }
    if (files.empty()) return;
    const TemporaryDirectory copy("code-", prepared(project_.tmp()));
    for (const std::string& path : files) {
      make_directories((copy.path() / path).parent_path());
      fs::copy(changes.root / path, copy.path() / path, fs::copy_options::copy_symlinks);
    }
    source.snapshot = store(code, copy.path(), {.ignore_files = false, .stop = stop_});
  }

  void take_folder(CapturedCode& code) {
    data::ScanOptions options{.cache = project_.cache() / "stat" / ".code", .stop = stop_};
    for (const fs::path& path : no_code_)
      if (path != "." && !path.empty()) options.ignored.push_back(pattern_of(path));
    options.ignored.push_back(pattern_of(".git"));
    const auto size = data::measure(project_.root, options, limits_.files, limits_.bytes);
    if (!size) {
      code.left_out = "the code is not kept, " + too_much(limits_);
      return;
    }
    make_directories(options.cache.parent_path());
    options.new_cache = options.cache;
    const std::string snapshot = store(code, project_.root, std::move(options));
    code.source.emplace().snapshot = snapshot;
  }

  std::string store(CapturedCode& code, const fs::path& folder, data::ScanOptions options) const {
    const auto objects = std::make_shared<data::ObjectStore>(project_.objects());
    code.store = objects;
    return data::store_version(*objects, folder, std::move(options)).first.text();
  }

  static const fs::path& prepared(const fs::path& folder) {
    make_directories(folder);
    return folder;
  }

  const config::Project& project_;
  const CodeLimits& limits_;
  const std::stop_token& stop_;
  std::vector<fs::path> no_code_; // below the project
};

class Restore {
 public:
  Restore(const config::Project& project, const std::stop_token& stop)
      : store_(project.objects()), scratch_("mlp-restore-"), stop_(stop) {}

  // `hint` if it is not here.
  void version(const std::string& digest, const fs::path& target, std::string_view what,
               const std::string& hint) {
    const auto manifest = parse_digest(digest);
    if (!manifest || !data::has_all_objects(store_, *manifest, stop_))
      throw Error(ErrorKind::not_found,
                  fmt::format("{} is not in this project's object store", what))
          .with_hint(hint);
    data::checkout(
        target, data::read_manifest(store_, *manifest), store_,
        {.cache = scratch_.path() / std::to_string(++checkouts_), .force = true, .stop = stop_});
  }

 private:
  data::ObjectStore store_;
  TemporaryDirectory scratch_; // for stat caches that nobody needs later
  const std::stop_token& stop_;
  int checkouts_ = 0;
};

// A path of the record below `root`, which nothing leads out of: no "..", and no link of the code.
fs::path place_in(const fs::path& root, const std::string& path, std::string_view what) {
  const auto refuse = [&](std::string_view reason) {
    return Error(ErrorKind::integrity, fmt::format("the run's {} '{}' cannot be used: {}", what,
                                                   printable(path), reason));
  };
  if (path.empty()) return root;
  if (const auto reason = unsafe_path_reason(path)) throw refuse(*reason);
  fs::path place = root;
  for (const fs::path& part : fs::path(path)) {
    std::error_code ignored;
    if (fs::is_symlink(place, ignored)) throw refuse("it lies behind a symbolic link of the code");
    place /= part;
  }
  return place;
}

} // namespace

CapturedCode capture_code(const config::Project& project,
                          const std::vector<std::string>& dataset_paths, const CodeLimits& limits,
                          const std::stop_token& stop) {
  try {
    return Capture(project, dataset_paths, limits, stop).run();
  } catch (const fs::filesystem_error& error) { // a file went while it was read
    return {track::source_state(project.root),
            fmt::format("the code is not kept ({}): {}", error.code().message(), advice)};
  }
}

fs::path restore_code(const config::Project& project, const track::RunSpec& spec,
                      const fs::path& target, const std::stop_token& stop) {
  const auto& source = spec.source;
  if (!source || !source->complete)
    throw Error(ErrorKind::not_found, fmt::format("run '{}' has no record of its code", spec.id))
        .with_hint("commit the code, or let 'runs.code_limit' leave room for it, before a run");
  make_directories(target);
  if (!source->commit.empty()) track::checkout_commit(project.root, source->commit, target);
  for (const std::string& path : source->removed) {
    std::error_code ignored;
    fs::remove(place_in(target, path, "removed file"), ignored);
  }
  Restore restore(project, stop);
  if (!source->snapshot.empty())
    restore.version(source->snapshot, target, "the code of the run",
                    "it may have been removed with the run it belongs to");
  const fs::path root = place_in(target, source->folder, "folder");
  make_directories(root);
  for (const track::DatasetUse& use : spec.datasets) {
    const fs::path place = place_in(root, use.path, "dataset path");
    std::error_code ignored;
    if (fs::is_symlink(place, ignored)) fs::remove(place, ignored); // its bytes are elsewhere
    restore.version(use.digest, place, fmt::format("dataset '{}'", use.name),
                    fmt::format("fetch it with: mlp data fetch {}@{}", use.name, use.digest));
  }
  return root;
}

} // namespace mlp::job
