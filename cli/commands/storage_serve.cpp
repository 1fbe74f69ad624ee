// `mlp storage-serve PATH`: what ssh starts at the other end of an ssh: remote. Standard input and
// output belong to the protocol (backends/storage/ssh/wire.hpp), so nothing is printed.
#include "backends/storage/file/file_storage.hpp"
#include "backends/storage/ssh/server.hpp"
#include "cli/session.hpp"
#include "core/base/process.hpp"

#include <unistd.h>

namespace mlp {

namespace {

void run(Session& session) {
  const fs::path path =
      storage::served_path(*session.arguments().get("PATH"), get_env("HOME").value_or(""));
  const auto place = storage::open_file_storage(
      {.scheme = "file", .path = path.native(), .has_authority = true}, "/");
  storage::serve_storage(*place, path, MLP_VERSION, STDIN_FILENO, STDOUT_FILENO);
}

} // namespace

extern const Command storage_serve_command;
const Command storage_serve_command = {
    .path = "storage-serve",
    .summary = "serve a folder to ssh: remotes over standard input and output; started by ssh",
    .category = Category::hidden,
    .arguments = {{.name = "PATH",
                   .help = "absolute, or /~/ and a path below the home; "
                           "percent-encoded"}},
    .run = run};

} // namespace mlp
