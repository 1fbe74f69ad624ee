// Copying run folders. One walk serves both to copy and to compare.
#include "core/track/run_copy.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/run_record.hpp"
#include "core/track/run_walk.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

namespace mlp::track {

namespace {

constexpr std::size_t piece = 1u << 20;

std::span<std::byte> bytes_of(std::string& buffer) {
  return std::as_writable_bytes(std::span(buffer.data(), buffer.size()));
}

std::size_t read_piece(File& file, std::string& buffer) {
  std::size_t size = 0;
  while (size < buffer.size()) {
    const std::size_t n = file.read(bytes_of(buffer).subspan(size));
    if (n == 0) break;
    size += n;
  }
  return size;
}

// True if `there` begins with all of `source`, and, unless `may_go_on`, ends there too.
bool has_content(const fs::path& there, const fs::path& source, bool may_go_on) {
  struct stat info {};
  if (::lstat(there.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  File a = open_plain(there), b = open_plain(source);
  if (may_go_on ? a.size() < b.size() : a.size() != b.size()) return false;
  std::string left(piece, '\0'), right(piece, '\0');
  while (const std::size_t n = read_piece(b, right)) {
    left.resize(n);
    if (read_piece(a, left) != n || left.compare(0, n, right, 0, n) != 0) return false;
  }
  return true;
}

// True if `there` lacks nothing of `source`.
bool has_all(const fs::path& there, const fs::path& source, RunWalk walk) {
  bool same = true;
  walk.run([&](const WalkEntry& entry) {
    if (!same) return;
    const fs::path path = there / entry.path;
    std::error_code code;
    switch (entry.kind) {
    case WalkEntry::Kind::folder:
      same = fs::is_directory(fs::symlink_status(path, code));
      break;
    case WalkEntry::Kind::link:
      same = fs::read_symlink(path, code).native() == entry.target && !code;
      break;
    case WalkEntry::Kind::file:
      same = has_content(path, source / entry.path, entry.path == "events.jsonl");
    }
  });
  return same;
}

void copy_file(const fs::path& from, const fs::path& to, bool executable, const CopyLimits& limits,
               const std::stop_token& stop, Progress& progress, CopiedRun& out) {
  File in = open_plain(from);
  File file(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                   executable ? 0755 : 0644),
            to.native());
  if (!file.is_open()) throw system_error(errno, "write", to.native());
  std::string buffer(piece, '\0');
  while (const std::size_t n = read_piece(in, buffer)) {
    if (stop.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
    out.bytes += n;
    if (out.bytes > limits.bytes)
      throw Error(ErrorKind::integrity,
                  fmt::format("the run is larger than {}", format_bytes(limits.bytes)));
    file.write(std::string_view(buffer).substr(0, n));
    progress.advance(n);
  }
  file.sync();
  ++out.files;
}

void copy_tree(const fs::path& source, const fs::path& target, RunWalk& walk,
               const CopyLimits& limits, const std::stop_token& stop, Progress& progress,
               CopiedRun& out) {
  progress.begin("copying", 0, ProgressUnit::bytes);
  walk.run([&](const WalkEntry& entry) {
    const fs::path path = target / entry.path;
    if (entry.kind == WalkEntry::Kind::file)
      return copy_file(source / entry.path, path, entry.executable, limits, stop, progress, out);
    const bool made = entry.kind == WalkEntry::Kind::folder
                          ? ::mkdir(path.c_str(), 0755) == 0
                          : ::symlink(entry.target.c_str(), path.c_str()) == 0;
    if (!made) throw system_error(errno, "create", path.native());
  });
  progress.end();
}

[[noreturn]] void fail_other_content(const RunFolder& there) {
  throw Error(ErrorKind::conflict,
              fmt::format("'{}' is there with other content", printable(there.root.native())))
      .with_hint("nothing was changed; to have the other one, remove this one first");
}

} // namespace

RunRecord check_ended(const RunFolder& run) {
  RunRecord record = read_run(run);
  if (is_active(record.state))
    throw Error(ErrorKind::conflict, fmt::format("run '{}' has not ended", run.id()))
        .with_hint("a copy of it would be cut off");
  return record;
}

CopiedRun export_run(const RunFolder& run, const fs::path& folder, const std::stop_token& stop,
                     Progress& progress, const CopyLimits& limits) {
  CopiedRun out;
  out.run = {folder / run.id()};
  out.damaged = check_ended(run).damaged;
  RunWalk walk(run.root, false, limits, stop);
  if (fs::exists(fs::symlink_status(out.run.root))) {
    if (!has_all(out.run.root, run.root, walk)) fail_other_content(out.run);
    return out;
  }
  make_run_folder(folder, run.id(), [&](const RunFolder& hidden) {
    copy_tree(run.root, hidden.root, walk, limits, stop, progress, out);
  });
  out.left_out = std::move(walk.left_out);
  out.copied = true;
  return out;
}

CopiedRun import_run(const fs::path& source, const fs::path& runs, const std::stop_token& stop,
                     Progress& progress, const CopyLimits& limits) {
  const RunFolder from{source};
  static_cast<void>(open_plain(from.spec()));
  const std::string id = read_run_spec(from).id;
  if (!is_run_id(id))
    throw Error(ErrorKind::config, fmt::format("'{}' in '{}' is not the id of a run", printable(id),
                                               printable(from.spec().native())));
  CopiedRun out;
  out.run = {runs / id};
  RunWalk walk(source, true, limits, stop);
  if (fs::exists(fs::symlink_status(out.run.root))) {
    if (!has_all(out.run.root, source, walk)) fail_other_content(out.run);
    return out;
  }
  make_run_folder(runs, id, [&](const RunFolder& hidden) {
    copy_tree(source, hidden.root, walk, limits, stop, progress, out);
    // From here on only the copy counts, which nobody else changes.
    if (read_run_spec(hidden).id != id)
      throw Error(ErrorKind::conflict,
                  fmt::format("'{}' changed while it was read", printable(from.spec().native())));
    const RunRecord record = read_journals(hidden);
    out.damaged = record.damaged;
    if (record.states.empty())
      throw Error(ErrorKind::integrity, fmt::format("'{}' has no state that can be read",
                                                    printable(from.events().native())))
          .with_hint("its journal is missing or damaged throughout");
    if (is_active(record.state)) {
      RunWriter(hidden).state(RunState::lost,
                              fmt::format("it was {} when it was copied from {}",
                                          state_name(record.state), printable(record.spec.host)));
      out.cut_off = true;
    }
  });
  out.copied = true;
  return out;
}

} // namespace mlp::track
