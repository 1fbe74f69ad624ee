// `mlp runs export`: copies of run folders for another project or machine.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/run_copy.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const track::RunFolder folder = find_run_folder(session, *session.arguments().get("RUN"));
  const track::CopiedRun copy = track::export_run(
      folder, *session.arguments().get("DIR"), session.stop_token(), session.output().progress());
  for (const std::string& path : copy.left_out)
    session.output().warning(
        fmt::format("'{}' is left out: a link out of its folder, or no file", printable(path)));
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
                   .complete = complete_directories}},
    .examples = {{"mlp runs export latest /mnt/stick", "for another machine"},
                 {"mlp runs import /mnt/stick", "there, all runs in that folder"}},
    .run = run};

} // namespace mlp
