// lstat(2) first, then open(2) without following: what changes in between is an error.
#include "core/track/run_walk.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace mlp::track {

// A regular file, never through a link, never waiting for the other end of a pipe.
File open_plain(const fs::path& path) {
  File file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), path.native());
  if (!file.is_open()) throw system_error(errno, "read", path.native());
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) throw system_error(errno, "read", path.native());
  if (!S_ISREG(info.st_mode))
    throw Error(ErrorKind::integrity,
                fmt::format("'{}' is not a regular file", printable(path.native())));
  return file;
}

namespace {

// A link that only leads deeper cannot, alone or through others like it, lead out.
bool leads_deeper(const fs::path& path, const std::string& target) {
  const std::string top = path.begin()->native();
  return (top == "outs" || top == "checkpoints") && !unsafe_path_reason(target);
}

} // namespace

void RunWalk::folder(const fs::path& relative, std::size_t depth,
                     const std::function<void(const WalkEntry&)>& each) {
  if (depth > limits_.depth)
    throw Error(ErrorKind::integrity, fmt::format("'{}' has folders in folders deeper than {}",
                                                  printable(root_.native()), limits_.depth));
  std::error_code code;
  std::vector<fs::path> names;
  for (fs::directory_iterator at(root_ / relative, code), end; !code && at != end;
       at.increment(code)) {
    names.push_back(at->path().filename());
    if (++entries_ > limits_.entries)
      throw Error(ErrorKind::integrity, fmt::format("'{}' has more than {} files",
                                                    printable(root_.native()), limits_.entries));
  }
  if (code) throw system_error(code.value(), "read", (root_ / relative).native());
  std::ranges::sort(names);
  for (const fs::path& name : names) {
    if (stop_.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
    if (depth == 0 && (name == "supervisor.lock" || name == "progress.json")) continue;
    entry(relative / name, depth, each);
  }
}

void RunWalk::entry(const fs::path& path, std::size_t depth,
                    const std::function<void(const WalkEntry&)>& each) {
  struct stat info {};
  const fs::path full = root_ / path;
  if (::lstat(full.c_str(), &info) != 0) throw system_error(errno, "read", full.native());
  if (S_ISDIR(info.st_mode)) {
    each({WalkEntry::Kind::folder, path, {}, false});
    return folder(path, depth + 1, each);
  }
  if (S_ISREG(info.st_mode))
    return each({WalkEntry::Kind::file, path, {}, (info.st_mode & S_IXUSR) != 0});
  if (S_ISLNK(info.st_mode)) {
    std::error_code code;
    const std::string target = fs::read_symlink(full, code).native();
    if (!code && leads_deeper(path, target))
      return each({WalkEntry::Kind::link, path, target, false});
  }
  if (strict_)
    throw Error(ErrorKind::integrity,
                fmt::format("'{}' is {}", printable(full.native()),
                            S_ISLNK(info.st_mode) ? "a link that may lead out of the run"
                                                  : "neither a file nor a folder"))
        .with_hint("only links in outs/ and checkpoints/ that lead deeper are taken in");
  left_out.push_back(path.native());
}

} // namespace mlp::track
