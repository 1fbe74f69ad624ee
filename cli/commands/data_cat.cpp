// `mlp data cat`: a file of a version as a stream, without a checkout.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"
#include "core/data/manifest_reader.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const VersionName name = named_version(session, *session.arguments().get("NAME"));
  const std::string path = session.arguments().get("PATH").value_or("");
  const auto datasets = open_datasets(session);
  VersionSource version(session, *datasets, name);
  const auto entry = data::find_entry(version.objects(), version.root(), path);
  const std::string where =
      path.empty() ? fmt::format("dataset '{}'", name.dataset.name)
                   : fmt::format("'{}' of dataset '{}'", printable(path), name.dataset.name);
  if (!entry)
    throw Error(ErrorKind::not_found,
                fmt::format("{} is not in version {}", where, version.digest().short_hex()))
        .with_hint("mlp data ls " + name.dataset.name + " lists the files");
  if (!entry->is_file())
    throw Error(ErrorKind::usage,
                fmt::format("{} is a {}, not a file", where,
                            entry->type == data::EntryType::symlink ? "symbolic link" : "folder"))
        .with_hint(path.empty() ? "name a file of it" : "");
  data::ContentReader chunks(version.objects(), entry->content);
  data::Bytes plain;
  while (const auto chunk = chunks.next()) {
    throw_if_stopped(session.stop_token());
    version.objects().read(chunk->id, plain);
    if (plain.size() != chunk->size)
      throw Error(ErrorKind::integrity, fmt::format("a chunk of {} has another size", where));
    session.output().write({reinterpret_cast<const char*>(plain.data()), plain.size()});
  }
}

} // namespace

extern const Command data_cat_command;
const Command data_cat_command = {
    .path = "data cat",
    .summary = "print a file of a version, without a checkout",
    .category = Category::data,
    .arguments = {version_argument(),
                  {.name = "PATH",
                   .help = "the file; left out for a dataset that is one file",
                   .required = false}},
    .options = {remote_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data cat digits README.md", "a file of the version in use"},
                 {"mlp data cat table@v1", "an earlier version of a dataset that is one file"}},
    .run = run};

} // namespace mlp
