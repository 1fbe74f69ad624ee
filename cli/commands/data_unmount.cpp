// `mlp data unmount`: end a mount, also one whose process has died.
#include "cli/completers.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/data/mount_point.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const fs::path folder = data::mount_path(*session.arguments().get("DIR"));
  const std::string name = printable(folder.native());
  const auto mounted = data::find_mount(folder);
  if (!mounted) throw Error(ErrorKind::not_found, fmt::format("nothing is mounted at '{}'", name));
  if (mounted->type != data::mount_type)
    throw Error(ErrorKind::usage, fmt::format("what is mounted at '{}' is no dataset", name));
  const bool lazy = session.arguments().has("--lazy");
  if (!data::unmount(folder, lazy))
    throw Error(ErrorKind::conflict, fmt::format("'{}' is in use", name))
        .with_hint("end what has files open or works there, or take it away with --lazy");
  session.output().emit(json_object({{"mountpoint", folder.native()}, {"source", mounted->source}}),
                        TextView{fmt::format("'{}' is unmounted\n", name)});
}

} // namespace

extern const Command data_unmount_command;
const Command data_unmount_command = {
    .path = "data unmount",
    .summary = "end a mount of a dataset",
    .category = Category::data,
    .arguments = {{.name = "DIR",
                   .help = "where the dataset is mounted",
                   .complete = complete_directories}},
    .options = {{.name = "--lazy",
                 .help = "also if it is in use: it ends when the last file is closed"}},
    .examples = {{"mlp data unmount /mnt/digits", "its process ends too"}},
    .run = run};

} // namespace mlp
