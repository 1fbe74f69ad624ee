// `mlp data import`: a file from elsewhere becomes a dataset, checked and pinned.
#include "backends/registry.hpp"
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "cli/remote_options.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/edit.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/net/download.hpp"
#include "core/net/part_file.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

namespace mlp {

namespace {

// Which version of a file it is: another one after every change.
std::string state_of(const File& file) {
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) throw system_error(errno, "read", file.name());
  return fmt::format("{}:{}:{}:{}.{:09}:{}.{:09}", info.st_dev, info.st_ino, info.st_size,
                     info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
                     info.st_ctim.tv_nsec);
}

net::Downloaded copy_file(const fs::path& source, const fs::path& target,
                          const std::optional<Digest>& expected, Session& session) {
  const File file = File::open_read(source);
  const std::string state = state_of(file);
  net::PartFile part(target);
  if (part.etag() != state || part.size() > file.size()) part.restart(state);
  const std::uint64_t resumed_at = part.size();
  Progress& progress = session.output().progress();
  progress.begin("copying", file.size(), ProgressUnit::bytes);
  progress.advance(part.size());
  std::vector<std::byte> block(std::size_t{8} << 20);
  while (const std::size_t count = file.read_at(block, part.size())) {
    throw_if_stopped(session.stop_token());
    part.append(std::span(block).first(count));
    progress.advance(count);
  }
  progress.end();
  if (state_of(file) != state)
    throw Error(ErrorKind::conflict, "the file was changed while it was read")
        .with_hint("run the command again when nobody writes it");
  return net::finish_download(part, target, expected, resumed_at, source.native(),
                              session.stop_token());
}

// The last name of a URL's path.
std::string file_name(const net::Url& url) {
  const std::string name = fs::path(url.path).filename().native();
  if (name.empty() || name == "." || name == "..")
    throw Error(ErrorKind::usage, "the URL ends in no file name")
        .with_hint("say where the file goes: mlp data import NAME URL PATH");
  return name;
}

net::Downloaded fetch(Session& session, const std::string& text, const net::Url& url,
                      const fs::path& target, const std::optional<Digest>& expected) {
  if (url.scheme == "http" || url.scheme == "https") {
    if (!url.user.empty() || !url.password.empty())
      throw Error(ErrorKind::usage, "a URL with a user or password in it is not taken")
          .with_hint("fetch the file with another tool, then: mlp data add NAME PATH");
    return net::download(text, target, expected, http_options(session),
                         session.output().progress());
  }
  if (url.scheme == "file") return copy_file(url.path, target, expected, session);
  if (url.scheme == "s3")
    return copy_from_s3(url, target, expected, storage_options(session),
                        session.output().progress());
  if (url.scheme == "ssh")
    return copy_over_ssh(url, target, expected, storage_options(session),
                         session.output().progress());
  throw Error(ErrorKind::usage, fmt::format("nothing is imported from '{}:'", url.scheme))
      .with_hint("http:, https:, s3:, ssh: and file: are known");
}

void run(Session& session) {
  const std::string name = *session.arguments().get("NAME");
  const std::string text = *session.arguments().get("URL");
  const net::Url url = net::parse_url(text);
  std::optional<Digest> expected;
  if (const auto digest = session.arguments().get("--sha256")) {
    expected = parse_digest(*digest);
    if (!expected) throw Error(ErrorKind::usage, "--sha256 takes 64 hexadecimal digits");
  }
  const auto* known = session.project_file().datasets.find(name);
  const auto given = session.arguments().get("PATH");
  const std::string path = given              ? project_path(session, *given)
                           : known != nullptr ? known->path
                                              : "data/" + file_name(url);
  if (known != nullptr && known->path != path)
    throw Error(ErrorKind::conflict,
                fmt::format("dataset '{}' has the path '{}' in mlp.yaml", name, known->path));
  const auto datasets = open_datasets(session);
  const data::DatasetName dataset{name, path};
  const fs::path target = datasets->path_of(dataset);
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(target, ignored)) && !session.arguments().has("--force"))
    throw Error(ErrorKind::conflict, fmt::format("'{}' is there already", path))
        .with_hint("--force replaces it");
  if (fs::is_directory(target, ignored))
    throw Error(ErrorKind::conflict, fmt::format("'{}' is a folder", path))
        .with_hint("import to another path");
  make_directories(target.parent_path());
  const net::Downloaded got =
      with_context(fmt::format("while importing '{}'", net::redacted(url)),
                   [&] { return fetch(session, text, url, target, expected); });
  config::add_dataset(session.project(), name, path);
  const data::AddResult added = datasets->add(dataset, false);
  session.output().emit(
      json_object({{"name", name},
                   {"path", path},
                   {"bytes", got.bytes},
                   {"resumed_at", got.resumed_at},
                   {"sha256", got.sha256.hex()},
                   {"digest", added.version.text()}}),
      TextView{fmt::format("{}: {} in '{}', version {}\n{}\n", name, format_bytes(got.bytes),
                           printable(path), added.version.short_hex(), got.sha256.text())});
}

} // namespace

extern const Command data_import_command;
const Command data_import_command = {
    .path = "data import",
    .summary = "fetch a file from a URL and make it a dataset",
    .category = Category::data,
    .arguments = {{.name = "NAME", .help = "the dataset", .complete = complete_datasets},
                  {.name = "URL", .help = "http:, https:, s3:, ssh: or file:"},
                  {.name = "PATH",
                   .help = "where the file goes (default: data/ and the URL's last name)",
                   .required = false,
                   .complete = complete_files}},
    .options = {{.name = "--sha256", .value = "DIGEST", .help = "refuse a file of another digest"},
                {.name = "--force", .help = "replace the file that is there"}},
    .settings = {"data.jobs", "data.compression_level"},
    .examples = {{"mlp data import iris https://example.org/iris.csv",
                  "to data/iris.csv, pinned in mlp.lock"},
                 {"mlp data import raw s3://bucket/raw/2024.csv raw/2024.csv",
                  "from a bucket to a path of your choice"},
                 {"mlp data import raw ssh://ada@gpu1/~/raw.csv",
                  "from the home at another machine"}},
    .run = run};

} // namespace mlp
