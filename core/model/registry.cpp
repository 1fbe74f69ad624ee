// Refs in files; the files of models in the object store.
#include "core/model/registry.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/data/store.hpp"
#include "core/model/files.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace mlp::model {

namespace {

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1) return std::nullopt;
  return number;
}

// Creates `path` with its content, whole and durable, unless it exists: link(2) never replaces.
bool create_once(const fs::path& path, std::string_view content) {
  fs::path temporary = path.parent_path() / fmt::format(".new-{}", random_token(10));
  write_file_atomic(temporary, content);
  const int result = ::link(temporary.c_str(), path.c_str());
  const int error = errno;
  ::unlink(temporary.c_str());
  if (result == 0) {
    sync_directory(path.parent_path());
    return true;
  }
  if (error == EEXIST) return false;
  throw system_error(error, "create", path.native());
}

std::vector<std::string> entries(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code))
    names.push_back(entry.path().filename().native());
  if (code && code != std::errc::no_such_file_or_directory)
    throw system_error(code.value(), "read", folder.native());
  std::sort(names.begin(), names.end());
  return names;
}

} // namespace

std::vector<std::string> ModelRegistry::names() const {
  std::vector<std::string> out;
  for (const std::string& name : entries(root()))
    if (is_valid_name(name) && !version_numbers(name).empty()) out.push_back(name);
  return out;
}

std::vector<std::int64_t> ModelRegistry::version_numbers(std::string_view name) const {
  std::vector<std::int64_t> out;
  for (const std::string& entry : entries(folder(name))) {
    if (!entry.ends_with(".json")) continue;
    if (const auto number = parse_number(std::string_view(entry).substr(0, entry.size() - 5)))
      out.push_back(*number);
  }
  std::sort(out.rbegin(), out.rend());
  return out;
}

void ModelRegistry::require(std::string_view name) const {
  if (is_valid_name(name) && !version_numbers(name).empty()) return;
  const std::vector<std::string> known = names();
  Error error(ErrorKind::not_found, fmt::format("no model '{}'", printable(name)));
  const std::string hint = suggestion_hint(name, known, "models");
  error.add_hint(hint.empty() ? "there is none yet: mlp train registers one" : hint);
  throw error;
}

ModelVersion ModelRegistry::read(std::string_view name, std::int64_t version) const {
  const fs::path path = folder(name) / fmt::format("{}.json", version);
  const std::string text = read_file(path, 16u << 20);
  return with_context(fmt::format("while reading model '{}@{}'", name, version), [&] {
    return model_version_from_json(parse_json(text, path.native()), path.native());
  });
}

std::vector<ModelVersion> ModelRegistry::versions(std::string_view name) const {
  require(name);
  std::vector<ModelVersion> out;
  for (const std::int64_t number : version_numbers(name))
    out.push_back(read(name, number));
  return out;
}

std::map<std::string, std::int64_t> ModelRegistry::aliases(std::string_view name) const {
  std::map<std::string, std::int64_t> out;
  const fs::path directory = folder(name) / "aliases";
  for (const std::string& alias : entries(directory)) {
    if (!is_valid_alias(alias)) continue;
    const auto text = read_file_if_exists(directory / alias, 4096);
    if (!text) continue;
    if (const auto number = parse_number(trim(*text))) out.emplace(alias, *number);
  }
  return out;
}

ModelVersion ModelRegistry::find(const ModelReference& reference) const {
  require(reference.name);
  const std::vector<std::int64_t> numbers = version_numbers(reference.name);
  const auto missing = [&](std::string message) {
    return Error(ErrorKind::not_found, std::move(message))
        .with_hint(fmt::format("see its versions: mlp model show {}", reference.name));
  };
  if (reference.version) {
    if (std::find(numbers.begin(), numbers.end(), *reference.version) == numbers.end())
      throw missing(fmt::format("model '{}' has no version {}; the latest is {}", reference.name,
                                *reference.version, numbers.front()));
    return read(reference.name, *reference.version);
  }
  if (!reference.digest.empty()) {
    for (const std::int64_t number : numbers)
      if (ModelVersion found = read(reference.name, number);
          found.digest.hex().starts_with(reference.digest))
        return found;
    throw missing(fmt::format("model '{}' has no version with the digest 'sha256:{}'",
                              reference.name, reference.digest));
  }
  const auto known = aliases(reference.name);
  if (const auto alias = known.find(reference.alias); alias != known.end())
    return read(reference.name, alias->second);
  if (reference.alias.empty() || reference.alias == "latest")
    return read(reference.name, numbers.front());
  std::vector<std::string> candidates{"latest"};
  for (const auto& [name, number] : known)
    candidates.push_back(name);
  throw Error(ErrorKind::not_found,
              fmt::format("model '{}' has no alias '{}'", reference.name, reference.alias))
      .with_hint(suggestion_hint(reference.alias, candidates, "aliases"));
}

ModelVersion ModelRegistry::add(const fs::path& files, ModelVersion about) {
  if (!is_valid_name(about.name))
    throw Error(ErrorKind::usage,
                fmt::format("'{}' is no valid name for a model", printable(about.name)))
        .with_hint("use letters, digits, '.', '_' and '-'");
  data::ObjectStore store(project_.objects()); // until the version is registered: keeps its lock
  const StoredFiles stored = store_files(store, files);
  about.digest = stored.digest;
  about.files = stored.files;
  about.bytes = stored.bytes;
  about.created = wall_now();
  make_directories(folder(about.name));
  while (true) {
    const std::vector<std::int64_t> numbers = version_numbers(about.name);
    if (!numbers.empty()) {
      ModelVersion latest = read(about.name, numbers.front());
      if (latest.digest == about.digest && latest.lineage.run == about.lineage.run) return latest;
    }
    about.version = numbers.empty() ? 1 : numbers.front() + 1;
    if (create_once(folder(about.name) / fmt::format("{}.json", about.version),
                    dump_json_pretty(to_json(about))))
      return about;
  }
}

void ModelRegistry::set_alias(std::string_view name, std::string_view alias, std::int64_t version) {
  require(name);
  if (alias == "latest")
    throw Error(ErrorKind::usage, "'latest' is always the newest version")
        .with_hint("choose another alias");
  if (!is_valid_alias(alias))
    throw Error(ErrorKind::usage, fmt::format("'{}' is no valid alias", printable(alias)))
        .with_hint("use letters, digits, '.', '_' and '-', and not a number alone");
  (void)find({.name = std::string(name), .alias = {}, .version = version, .digest = {}});
  const fs::path directory = folder(name) / "aliases";
  make_directories(directory);
  write_file_atomic(directory / alias, fmt::format("{}\n", version));
}

bool ModelRegistry::remove_alias(std::string_view name, std::string_view alias) {
  require(name);
  if (!is_valid_alias(alias)) return false;
  const fs::path directory = folder(name) / "aliases";
  if (::unlink((directory / alias).c_str()) != 0) {
    if (errno == ENOENT) return false;
    throw system_error(errno, "remove", (directory / alias).native());
  }
  sync_directory(directory);
  return true;
}

void ModelRegistry::export_files(const ModelVersion& version, const fs::path& target, bool force,
                                 Progress& progress) const {
  restore_files(project_.objects(), version.digest, target, force, progress);
}

fs::path ModelRegistry::materialize(const ModelVersion& version) const {
  const fs::path cache = project_.cache() / "models";
  const fs::path target = cache / version.digest.hex();
  if (fs::is_directory(target)) return target;
  make_directories(cache);
  // Whole or not there: made beside it and renamed.
  const fs::path temporary = cache / fmt::format(".new-{}", random_token(10));
  try {
    restore_files(project_.objects(), version.digest, temporary, false, no_progress());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
  std::error_code code;
  fs::rename(temporary, target, code);
  if (code) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    if (!fs::is_directory(target)) throw system_error(code.value(), "create", target.native());
  }
  return target; // another process may have been quicker: it has the same files
}

std::vector<std::string> ModelRegistry::registered_from(std::string_view run) const {
  std::vector<std::string> out;
  for (const std::string& name : names())
    for (const std::int64_t number : version_numbers(name))
      try {
        if (read(name, number).lineage.run == run)
          out.push_back(fmt::format("{}@{}", name, number));
      } catch (const Error&) { // damaged metadata: it cannot be told
      }
  return out;
}

} // namespace mlp::model
