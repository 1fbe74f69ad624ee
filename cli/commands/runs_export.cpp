// `mlp runs export`: a run for another project or machine, as a folder or as an archive.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/run_archive.hpp"
#include "core/track/run_copy.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace mlp {

namespace {

void warn_of_left_out(Session& session, const track::CopiedRun& copy) {
  for (const std::string& path : copy.left_out)
    session.output().warning(
        fmt::format("'{}' is left out: a link out of its folder, or no file", printable(path)));
}

// True for a name that ends in .zst or .tzst, false for .tar. Standard output is plain: a pipe can
// be compressed by any program.
bool is_compressed(const std::string& file) {
  if (file == "-" || file.ends_with(".tar")) return false;
  if (file.ends_with(".tar.zst") || file.ends_with(".tzst")) return true;
  throw Error(ErrorKind::usage, fmt::format("cannot tell what '{}' is to be", printable(file)))
      .with_hint("a name that ends in .tar or .tar.zst, or - for standard output");
}

void export_archive(Session& session, const track::RunFolder& folder, const std::string& file) {
  const bool compressed = is_compressed(file);
  Output& output = session.output();
  if (file == "-") {
    if (output.options().json)
      throw Error(ErrorKind::usage, "standard output cannot take both the archive and a record");
    if (::isatty(STDOUT_FILENO) == 1)
      throw Error(ErrorKind::usage, "an archive is nothing for a terminal")
          .with_hint("send it to a file or a pipe: --out run.tar");
    warn_of_left_out(session, track::archive_run(
                                  folder, false, [&](std::string_view part) { output.write(part); },
                                  session.stop_token(), output.progress()));
    return;
  }
  AtomicFile target(file);
  const track::CopiedRun copy = track::archive_run(
      folder, compressed, [&](std::string_view part) { target.file().write(part); },
      session.stop_token(), output.progress());
  target.commit();
  warn_of_left_out(session, copy);
  output.emit(json_object({{"run", folder.id()},
                           {"file", file},
                           {"files", copy.files},
                           {"bytes", copy.bytes},
                           {"left_out", copy.left_out}}),
              TextView{fmt::format("exported {}: {} files, {}\n", printable(file), copy.files,
                                   format_bytes(copy.bytes))});
}

void run(Session& session) {
  const track::RunFolder folder = find_run_folder(session, *session.arguments().get("RUN"));
  const auto target = session.arguments().get("DIR"), file = session.arguments().get("--out");
  if (target.has_value() == file.has_value())
    throw Error(ErrorKind::usage, target ? "DIR and --out are two places" : "export to where?")
        .with_hint("give a folder, or --out FILE for an archive");
  if (file) return export_archive(session, folder, *file);
  const track::CopiedRun copy =
      track::export_run(folder, *target, session.stop_token(), session.output().progress());
  warn_of_left_out(session, copy);
  const std::string text = copy.copied
                               ? fmt::format("exported {}: {} files, {}\n", copy.run.root.native(),
                                             copy.files, format_bytes(copy.bytes))
                               : fmt::format("{} is there already\n", copy.run.root.native());
  session.output().emit(json_object({{"run", folder.id()},
                                     {"folder", copy.run.root.native()},
                                     {"copied", copy.copied},
                                     {"files", copy.files},
                                     {"bytes", copy.bytes},
                                     {"left_out", copy.left_out}}),
                        TextView{printable_lines(text)});
}

} // namespace

extern const Command runs_export_command;
const Command runs_export_command = {
    .path = "runs export",
    .summary = "copy a run, with its outputs, out of the project",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .complete = complete_runs},
                  {.name = "DIR",
                   .help = "a folder for a folder of the run's id; it is made if need be",
                   .required = false,
                   .complete = complete_directories}},
    .options = {{.name = "--out",
                 .value = "FILE",
                 .help = "an archive instead: FILE.tar or FILE.tar.zst, or - for standard output",
                 .letter = 'o',
                 .complete = complete_files}},
    .examples = {{"mlp runs export latest /mnt/stick", "for another machine"},
                 {"mlp runs import /mnt/stick", "there, all runs in that folder"},
                 {"mlp runs export latest --out run.tar.zst", "as one file"}},
    .run = run};

} // namespace mlp
