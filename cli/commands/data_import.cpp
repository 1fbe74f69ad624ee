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
#include "core/net/url.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

// What to read in pieces, for sources that are no web servers: fills the span from an offset on.
using ReadAt = std::function<std::size_t(std::uint64_t, std::span<std::byte>)>;

net::Downloaded copy(const ReadAt& read, const fs::path& target,
                     const std::optional<Digest>& expected, Session& session) {
  Progress& progress = session.output().progress();
  progress.begin("copying", 0, ProgressUnit::bytes);
  AtomicFile file(target);
  Sha256 hash;
  net::Downloaded result;
  std::vector<std::byte> block(std::size_t{8} << 20);
  for (;;) {
    throw_if_stopped(session.stop_token());
    const std::size_t count = read(result.bytes, block);
    if (count == 0) break;
    hash.update(std::span(block).first(count));
    file.file().write(std::span(block).first(count));
    result.bytes += count;
    progress.advance(count);
  }
  progress.end();
  result.sha256 = hash.finish();
  if (expected && result.sha256 != *expected)
    throw Error(
        ErrorKind::integrity,
        fmt::format("the file is not what was expected: its digest is {}", result.sha256.text()));
  file.commit();
  return result;
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
  if (url.scheme == "file") {
    const File file = File::open_read(url.path);
    return copy([&](std::uint64_t at, std::span<std::byte> into) { return file.read_at(into, at); },
                target, expected, session);
  }
  if (url.scheme == "s3") {
    const std::string name = file_name(url);
    const std::size_t query = text.find('?');
    const std::string path = text.substr(0, query);
    const std::string folder =
        path.substr(0, path.rfind('/')) + (query == std::string::npos ? "" : text.substr(query));
    const auto storage = open_storage(folder, session.project().root, storage_options(session));
    return copy(
        [&](std::uint64_t at, std::span<std::byte> into) { return storage->read(name, at, into); },
        target, expected, session);
  }
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
