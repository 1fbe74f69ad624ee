// `mlp remote add`: name a place where the team's data lies.
#include "backends/registry.hpp"
#include "cli/remote_options.hpp"
#include "cli/session.hpp"
#include "core/base/json.hpp"
#include "core/config/edit.hpp"
#include "core/config/project.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::string name = session.arguments().get_or("NAME", "");
  const std::string url = session.arguments().get_or("URL", "");
  const net::Url parsed = net::parse_url(url);
  // mlp.yaml is for git and for everyone: no secret belongs there.
  if (!parsed.password.empty())
    throw Error(ErrorKind::config, "a remote's URL must not hold a password")
        .with_hint("mlp.yaml is shared; keep credentials in the environment or in the store's own "
                   "configuration");
  const auto storage = open_storage(url, session.project().root, storage_options(session));
  const bool changed = config::add_remote(session.project(), name, url);
  session.output().emit(
      json_object({{"name", name}, {"url", storage->location()}, {"changed", changed}}),
      TextView{fmt::format("{} is {}{}\n", name, storage->location(), changed ? "" : " already")});
}

} // namespace

extern const Command remote_add_command;
const Command remote_add_command = {
    .path = "remote add",
    .summary = "name a place where the team's data lies",
    .category = Category::data,
    .arguments = {{.name = "NAME", .help = "the remote's name; 'origin' is the default one"},
                  {.name = "URL",
                   .help =
                       "file:///absolute/folder, file:folder in the project, s3://bucket/prefix, "
                       "ssh://user@host/folder, or https://host/folder to read from"}},
    .examples = {{"mlp remote add origin file:///mnt/team/digits", "a shared folder"},
                 {"mlp remote add origin ssh://ada@gpu1/srv/team/digits", "a folder of a host"},
                 {"mlp remote add origin s3://team-bucket/digits", "a bucket of Amazon S3"},
                 {"mlp remote add origin 's3://team/digits?endpoint=https://s3.example.org'",
                  "a bucket of Ceph, MinIO or another store"}},
    .run = run};

} // namespace mlp
