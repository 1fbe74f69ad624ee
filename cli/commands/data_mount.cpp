// `mlp data mount`: a version of a dataset as a read-only folder, fetched as it is read.
#include "cli/mounting.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const MountRequest request = mount_request(session);
  if (session.arguments().has("--detach"))
    serve_mount_detached(session, request);
  else
    serve_mount(session, request);
}

std::vector<Option> options() {
  std::vector<Option> all = mount_options();
  all.insert(all.begin(), {.name = "--detach",
                           .help = "return when it is mounted; a process of its own goes on",
                           .letter = 'd'});
  return all;
}

} // namespace

extern const Command data_mount_command;
const Command data_mount_command = {
    .path = "data mount",
    .summary = "show a version as a read-only folder, fetched as it is read",
    .category = Category::data,
    .arguments = mount_arguments(),
    .options = options(),
    .settings = {"data.mount_cache"},
    .examples = {{"mlp data mount digits /mnt/digits", "the version in use; Ctrl-C unmounts"},
                 {"mlp data mount -d digits@v1 /mnt/digits", "a tag, by a process of its own"},
                 {"mlp data mount digits@latest /mnt/digits --refresh 60s",
                  "what was pushed last, whatever that is by then"}},
    .run = run};

} // namespace mlp
