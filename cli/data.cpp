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

#include <algorithm>

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

VersionName named_version(Session& session, const std::string& text) {
  const std::size_t at = text.find('@');
  const std::string name = text.substr(0, at);
  VersionName named{{name, session.project_file().dataset(name).path}, {}};
  if (at == std::string::npos) return named;
  named.version = text.substr(at + 1);
  if (named.version.empty())
    throw Error(ErrorKind::usage, fmt::format("'{}' names no version after the '@'", text))
        .with_hint("a tag, 'latest', or the first digits of a version; mlp data log lists them");
  return named;
}

std::vector<VersionName> chosen_versions(Session& session) {
  std::vector<VersionName> chosen;
  for (const std::string& text : session.arguments().all("NAME"))
    chosen.push_back(named_version(session, text));
  if (chosen.empty())
    for (data::DatasetName& dataset : chosen_datasets(session))
      chosen.push_back({std::move(dataset), {}});
  return chosen;
}

std::string project_path(Session& session, const std::string& given) {
  const fs::path absolute = fs::absolute(given).lexically_normal();
  const fs::path relative = absolute.lexically_relative(session.project().root);
  std::string path = *relative.begin() == ".." ? absolute.native() : relative.native();
  while (path.size() > 1 && path.ends_with('/'))
    path.pop_back();
  return path;
}

namespace {

// Null where the settings want none.
std::unique_ptr<data::UserCache> open_user_cache(const config::Settings& settings) {
  const std::uint64_t limit = settings.get_size("data.cache_limit");
  fs::path folder = settings.get_string("data.cache");
  if (folder.empty()) {
    folder = config::user_cache_path(config::process_environment());
    if (!folder.empty()) folder /= "data";
  }
  if (limit == 0 || folder.empty()) return nullptr;
  if (folder.is_relative())
    throw Error(ErrorKind::config,
                fmt::format("data.cache '{}' is a relative path", printable(folder.native())))
        .with_hint("write it from / on");
  return std::make_unique<data::UserCache>(std::move(folder), limit);
}

} // namespace

std::unique_ptr<data::Datasets> open_datasets(Session& session) {
  const config::Settings& settings = session.settings();
  auto datasets = std::make_unique<data::Datasets>(
      session.project(), session.output().progress(), session.stop_token(),
      static_cast<unsigned>(settings.get_int("data.jobs")),
      static_cast<int>(settings.get_int("data.compression_level")));
  const auto link = data::parse_link_mode(settings.get_string("data.link"));
  auto cache = open_user_cache(settings);
  const bool given = settings.source("data.link") == config::SettingSource::option;
  if (!cache && (*link == data::LinkMode::reflink || *link == data::LinkMode::hardlink))
    throw Error(ErrorKind::config, "there is no cache to link files from")
        .with_hint("mlp config set data.cache_limit 20GiB; or use --link copy");
  datasets->use_cache(std::move(cache), *link, given);
  return datasets;
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
                                  storage_options(session));
    session.output().progress().begin("listing " + name, 0, ProgressUnit::count);
    remote.store = std::make_unique<data::RemoteStore>(
        *remote.storage, data::remote_cache(session.project().cache(), *remote.storage),
        session.stop_token());
    session.output().progress().end();
    return std::move(remote);
  });
}

OpenRemote remote_if(Session& session, bool needed) {
  if (!session.arguments().has("--remote") && (!needed || session.project_file().remotes.empty()))
    return {};
  return open_remote(session, chosen_remote(session));
}

VersionSource::VersionSource(Session& session, data::Datasets& datasets, const VersionName& name) {
  const auto known_here = [&]() -> std::optional<Digest> {
    if (name.version == "latest") return std::nullopt;
    try {
      return datasets.resolve(name.dataset, name.version, nullptr);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::not_found || name.version.empty()) throw;
      return std::nullopt;
    }
  };
  const auto here = known_here();
  remote_ = remote_if(session, !here || !datasets.store().has(*here));
  digest_ = here ? *here : datasets.resolve(name.dataset, name.version, remote_.store.get());
  if (!datasets.store().has(digest_) && (!remote_.store || !remote_.store->has(digest_)))
    throw Error(ErrorKind::not_found,
                fmt::format("version {} of dataset '{}' is not {}", digest_.short_hex(),
                            name.dataset.name,
                            remote_.store ? "at '" + remote_.storage->location() + "'" : "here"))
        .with_hint("push it from where it was added: mlp data push " + name.dataset.name);
  objects_ = std::make_unique<data::LocalFirst>(datasets.store(), remote_.store.get());
}

data::Entry VersionSource::root() {
  return data::read_manifest(*objects_, digest_);
}

std::string size_text(std::uint64_t files, std::uint64_t bytes) {
  return fmt::format("{} {}, {}", format_count(files), files == 1 ? "file" : "files",
                     format_bytes(bytes));
}

std::string fetched_text(const data::TransferStats& fetched) {
  std::string text = format_bytes(fetched.bytes);
  if (fetched.cached_bytes > 0)
    text += fmt::format(" and {} from the cache", format_bytes(fetched.cached_bytes));
  return text;
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

Argument version_argument() {
  return {.name = "NAME",
          .help = "the dataset, or NAME@VERSION: a tag, its first digits, or 'latest'",
          .complete = complete_versions};
}

std::vector<Candidate> complete_versions(Session& session) {
  std::vector<Candidate> all = complete_datasets(session);
  for (const auto& entry : session.project_file().datasets) {
    const data::LocalVersions known(session.project(), entry.name);
    for (const auto& [tag, version] : known.tags())
      all.push_back({entry.name + "@" + tag, version.short_hex()});
    for (const data::Version& version : known.versions())
      all.push_back(
          {entry.name + "@" + version.digest.short_hex(), size_text(version.files, version.bytes)});
  }
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
