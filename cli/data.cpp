// Shared wiring of the data commands.
#include "cli/data.hpp"

#include "backends/registry.hpp"
#include "cli/completers.hpp"
#include "cli/http_options.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/config/settings.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

namespace mlp {

std::vector<data::DatasetName> chosen_datasets(Session& session) {
  const config::ProjectFile& file = session.project_file();
  std::vector<data::DatasetName> chosen;
  for (const std::string& name : session.arguments().all("NAME"))
    chosen.push_back({name, file.dataset(name).path});
  if (!chosen.empty()) return chosen;
  for (const auto& entry : file.datasets)
    chosen.push_back({entry.name, entry.value.path});
  if (chosen.empty())
    throw Error(ErrorKind::not_found, "no dataset in mlp.yaml")
        .with_hint("add one with: mlp data add NAME PATH");
  return chosen;
}

std::unique_ptr<data::Datasets> open_datasets(Session& session) {
  const config::Settings& settings = session.settings();
  return std::make_unique<data::Datasets>(
      session.project(), session.output().progress(), session.stop_token(),
      static_cast<unsigned>(settings.get_int("data.jobs")),
      static_cast<int>(settings.get_int("data.compression_level")));
}

std::string chosen_remote(Session& session) {
  const config::ProjectFile& file = session.project_file();
  if (const auto name = session.arguments().get("--remote")) {
    static_cast<void>(file.remote(*name));
    return *name;
  }
  std::string name = file.default_remote_name();
  if (name.empty()) {
    if (file.remotes.empty())
      throw Error(ErrorKind::not_found, "no remote in mlp.yaml")
          .with_hint("add one with: mlp remote add origin file:///shared/folder");
    const auto names = file.remotes.names();
    throw Error(ErrorKind::usage, "several remotes, and none is the default")
        .with_hint(fmt::format("say which with --remote: {}", join(names, ", ")));
  }
  return name;
}

OpenRemote open_remote(Session& session, const std::string& name) {
  OpenRemote remote{.name = name};
  return with_context(fmt::format("while using remote '{}'", name), [&] {
    remote.storage = open_storage(session.project_file().remote(name), session.project().root,
                                  http_options(session));
    session.output().progress().begin("listing " + name, 0, ProgressUnit::count);
    remote.store = std::make_unique<data::RemoteStore>(
        *remote.storage, data::remote_cache(session.project().cache(), *remote.storage),
        session.stop_token());
    session.output().progress().end();
    return std::move(remote);
  });
}

std::string size_text(std::uint64_t files, std::uint64_t bytes) {
  return fmt::format("{} {}, {}", format_count(files), files == 1 ? "file" : "files",
                     format_bytes(bytes));
}

Option remote_option() {
  return {.name = "--remote",
          .value = "REMOTE",
          .help = "the remote to use, instead of the default one",
          .complete = complete_remotes};
}

Argument dataset_argument(bool required) {
  return {.name = "NAME",
          .help = required ? "the dataset" : "the datasets; all if none is named",
          .required = required,
          .repeated = !required,
          .complete = complete_datasets};
}

std::vector<Candidate> complete_datasets(Session& session) {
  std::vector<Candidate> all;
  for (const auto& entry : session.project_file().datasets)
    all.push_back({entry.name, entry.value.path});
  return all;
}

std::vector<Candidate> complete_remotes(Session& session) {
  std::vector<Candidate> all;
  for (const auto& entry : session.project_file().remotes)
    all.push_back({entry.name, net::redacted(entry.value)});
  return all;
}

std::string dataset_state(const data::StatusResult& status) {
  if (!status.pinned) return status.missing ? "missing" : "not added";
  if (status.missing) return "missing";
  if (!status.fetched) return "not fetched";
  return status.clean() ? "unchanged" : "changed";
}

std::string dataset_remedy(const std::string& state, const std::string& name) {
  if (state == "not added" || state == "changed") return "mlp data add " + name;
  if (state == "not fetched" || state == "missing") return "mlp data pull " + name;
  return "";
}

} // namespace mlp
