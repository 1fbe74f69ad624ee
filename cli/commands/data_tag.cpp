// `mlp data tag`: a name for a version.
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/data/remote_claim.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void remove_tag(Session& session, data::Datasets& datasets, const data::DatasetName& dataset,
                const std::string& tag) {
  const OpenRemote remote = remote_if(session, false);
  const bool here = datasets.known(dataset).remove_tag(tag);
  const bool there = remote.storage && data::remove_remote_tag(*remote.storage, dataset.name, tag);
  if (!here && !there)
    throw Error(ErrorKind::not_found,
                fmt::format("dataset '{}' has no tag '{}'", dataset.name, tag));
  session.output().emit(json_object({{"name", dataset.name}, {"tag", tag}, {"removed", true}}),
                        TextView{fmt::format("{}: removed tag {}{}\n", dataset.name, tag,
                                             there ? " here and at " + remote.name : "")});
}

void run(Session& session) {
  const VersionName name = named_version(session, *session.arguments().get("NAME"));
  const std::string tag = *session.arguments().get("TAG");
  const bool force = session.arguments().has("--force");
  const auto datasets = open_datasets(session);
  data::check_tag(tag);
  if (session.arguments().has("--delete")) {
    if (!name.version.empty())
      throw Error(ErrorKind::usage, "--delete takes the dataset's name and the tag alone");
    return remove_tag(session, *datasets, name.dataset, tag);
  }
  datasets->store().prepare(session.stop_token()); // what is tagged must not go meanwhile
  VersionSource version(session, *datasets, name);
  static_cast<void>(version.root()); // it is a version
  datasets->known(name.dataset).set_tag(tag, version.digest(), force);
  const OpenRemote remote = remote_if(session, false);
  if (remote.storage) {
    const data::RemoteClaim claim(*remote.storage, data::ClaimKind::push, std::chrono::seconds(30),
                                  session.stop_token()); // the version must not go meanwhile
    (void)remote.store->reload(session.stop_token());
    if (!remote.store->has(version.digest()))
      throw Error(ErrorKind::not_found,
                  fmt::format("version {} is not at '{}', so it was tagged here only",
                              version.digest().short_hex(), remote.name))
          .with_hint("mlp data push sends the version in use with its tags");
    data::publish_tag(*remote.storage, name.dataset.name, tag, version.digest(), force);
  }
  session.output().emit(
      json_object({{"name", name.dataset.name},
                   {"tag", tag},
                   {"digest", version.digest().text()},
                   {"remote", remote.name}}),
      TextView{fmt::format("{}: {} is {}{}\n", name.dataset.name, tag, version.digest().short_hex(),
                           remote.storage ? ", at " + remote.name + " too" : "")});
}

} // namespace

extern const Command data_tag_command;
const Command data_tag_command = {
    .path = "data tag",
    .summary = "give a version a name",
    .category = Category::data,
    .arguments = {version_argument(), {.name = "TAG", .help = "the name, such as v1"}},
    .options = {{.name = "--delete", .help = "remove the tag", .letter = 'd'},
                {.name = "--force", .help = "move a tag that names another version"},
                remote_option()},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data tag digits v1", "the version in use"},
                 {"mlp data tag digits@5f2b1c0d golden --remote origin", "for the whole team"},
                 {"mlp data tag digits v1 --delete", "forget it"}},
    .run = run};

} // namespace mlp
