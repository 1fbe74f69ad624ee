// `mlp runs import`: takes in runs from elsewhere, as folders or as archives.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/track/run_archive.hpp"
#include "core/track/run_copy.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace mlp {

namespace {

// The folder itself if it is a run, else the runs in it, the oldest first.
std::vector<fs::path> run_folders(const fs::path& folder, const std::string& name) {
  if (fs::exists(fs::symlink_status(folder / "spec.json"))) return {folder};
  std::vector<std::string> ids = track::run_ids(folder);
  std::ranges::reverse(ids);
  if (ids.empty())
    throw Error(ErrorKind::not_found, fmt::format("no run in '{}'", printable(name)))
        .with_hint("give a folder that has a spec.json, or one with such folders in it");
  std::vector<fs::path> out;
  for (const std::string& id : ids)
    out.push_back(folder / id);
  return out;
}

std::string line_of(const track::CopiedRun& copy) {
  if (!copy.copied) return fmt::format("{} is there already\n", copy.run.id());
  return fmt::format("imported {}: {} files, {}\n", copy.run.id(), copy.files,
                     format_bytes(copy.bytes));
}

void warn(Session& session, const track::CopiedRun& copy) {
  if (copy.damaged != 0)
    session.output().warning(fmt::format("run '{}' has {} damaged {} in its journals",
                                         copy.run.id(), copy.damaged,
                                         copy.damaged == 1 ? "line" : "lines"));
  if (copy.cut_off)
    session.output().warning(
        fmt::format("run '{}' had not ended when it was copied: it counts as lost", copy.run.id()));
}

// Waits for a pipe, but not beyond a signal to stop.
std::size_t read_archive(File& file, std::span<std::byte> data, const std::stop_token& stop) {
  pollfd entry{file.fd(), POLLIN, 0};
  do
    throw_if_stopped(stop);
  while (::poll(&entry, 1, 200) <= 0);
  return file.read(data);
}

// A folder as it is, or an archive, unpacked into one of our own.
class Source {
 public:
  Source(Session& session, const std::string& name) : path_(name) {
    const bool piped = name == "-";
    if (!piped && fs::is_directory(path_)) return;
    if (!piped && !fs::exists(path_))
      throw Error(ErrorKind::not_found, fmt::format("no folder or archive '{}'", printable(name)));
    if (piped && ::isatty(STDIN_FILENO) == 1)
      throw Error(ErrorKind::usage, "standard input is a terminal, no archive")
          .with_hint("pipe one in: mlp runs import - < run.tar");
    const std::stop_token stop = session.stop_token();
    File file = piped ? File(::dup(STDIN_FILENO), "standard input") : File::open_read(path_);
    make_directories(session.project().tmp());
    unpacked_ = std::make_unique<TemporaryDirectory>("import-", session.project().tmp());
    track::unpack_archive([&](std::span<std::byte> data) { return read_archive(file, data, stop); },
                          piped ? "standard input" : name, unpacked_->path(), stop,
                          session.output().progress());
    path_ = unpacked_->path();
  }
  [[nodiscard]] const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
  std::unique_ptr<TemporaryDirectory> unpacked_;
};

void run(Session& session) {
  Json imported = json_array();
  std::string text;
  const std::string name = *session.arguments().get("PATH");
  const Source source(session, name);
  for (const fs::path& folder : run_folders(source.path(), name)) {
    const track::CopiedRun copy = track::import_run(
        folder, session.project().runs(), session.stop_token(), session.output().progress());
    warn(session, copy);
    text += line_of(copy);
    imported.push_back(json_object({{"run", copy.run.id()},
                                    {"copied", copy.copied},
                                    {"files", copy.files},
                                    {"bytes", copy.bytes},
                                    {"damaged", copy.damaged}}));
  }
  session.output().emit(json_object({{"runs", std::move(imported)}}), TextView{text});
}

} // namespace

extern const Command runs_import_command;
const Command runs_import_command = {
    .path = "runs import",
    .summary = "take in runs that were copied from another project or machine",
    .category = Category::training,
    .arguments = {{.name = "PATH",
                   .help = "a run's folder, a folder with such folders in it, or an archive of "
                           "either (.tar, .tar.zst, or - for standard input)",
                   .complete = complete_files}},
    .examples = {{"mlp runs import /mnt/stick", "all runs in that folder"},
                 {"mlp runs import ../other/.mlp/runs/20260131-120000-k3f9qx",
                  "one run of another project"},
                 {"mlp runs import run.tar.zst", "an archive"}},
    .run = run};

} // namespace mlp
