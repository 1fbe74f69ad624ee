// `mlp log artifact`: keeps files of a program with its run: copies in $MLP_OUT_DIR.
#include "cli/completers.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/process.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const auto folder = get_env("MLP_OUT_DIR");
  if (!folder || folder->empty())
    throw Error(ErrorKind::usage, "this is no run: MLP_OUT_DIR is not set")
        .with_hint("'mlp log artifact' is for programs that 'mlp train' or 'mlp run' started");
  for (const std::string& word : session.arguments().all("PATH")) {
    const fs::path source = fs::path(word).lexically_normal();
    const fs::path name =
        source.has_filename() ? source.filename() : source.parent_path().filename();
    if (name.empty() || name == "." || name == "..")
      throw Error(ErrorKind::usage, fmt::format("'{}' has no name to keep it under", word));
    std::error_code code;
    fs::copy(source, fs::path(*folder) / name,
             fs::copy_options::recursive | fs::copy_options::overwrite_existing |
                 fs::copy_options::copy_symlinks,
             code);
    if (code) throw system_error(code.value(), "keep", source.native());
  }
}

} // namespace

extern const Command log_artifact_command;
const Command log_artifact_command = {
    .path = "log artifact",
    .summary = "keep files with a run, from within it",
    .category = Category::training,
    .arguments = {{.name = "PATH",
                   .help = "files and folders to copy to $MLP_OUT_DIR",
                   .repeated = true,
                   .complete = complete_files}},
    .examples = {{"mlp log artifact confusion.png report/", "beside what the task's outs name"}},
    .run = run};

} // namespace mlp
