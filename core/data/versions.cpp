// Refs as small texts; of a place where they are listed, only those that are well-formed count.
#include "core/data/versions.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace mlp::data {

namespace {

constexpr std::size_t fewest_digits = 4;
constexpr std::size_t listed_at_once = 1000;

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string dataset_refs(const std::string& dataset) {
  return fmt::format("refs/datasets/{}/", dataset);
}
std::string version_ref(const std::string& dataset, const Digest& version) {
  return dataset_refs(dataset) + "versions/" + version.hex();
}
std::string latest_ref(const std::string& dataset) {
  return dataset_refs(dataset) + "latest";
}
std::string tag_ref(const std::string& dataset, const std::string& tag) {
  return dataset_refs(dataset) + "tags/" + tag;
}

std::string version_text(const Version& version) {
  return fmt::format("{{\"bytes\":{},\"files\":{},\"time\":\"{}\"}}\n", version.bytes,
                     version.files, format_time(version.time));
}

// `where` is for messages.
Version parse_version(const Digest& digest, const std::string& text, const std::string& where) {
  try {
    const Json json = parse_json(text, where);
    Version version{.digest = digest};
    version.files = static_cast<std::uint64_t>(json_int(json, "files", where));
    version.bytes = static_cast<std::uint64_t>(json_int(json, "bytes", where));
    if (const auto time = parse_time(json_string(json, "time", where))) version.time = *time;
    return version;
  } catch (const Error& error) {
    throw Error(ErrorKind::integrity, fmt::format("damaged ref '{}'", where))
        .with_context(error.message());
  }
}

Digest parse_pointer(const std::string& text, const std::string& where) {
  if (const auto digest = parse_digest(trim(text))) return *digest;
  throw Error(ErrorKind::integrity, fmt::format("damaged ref '{}'", where));
}

void newest_first(std::vector<Version>& versions) {
  std::ranges::sort(versions, [](const Version& a, const Version& b) {
    return a.time != b.time ? a.time > b.time : a.digest < b.digest;
  });
}

Error other_version(const std::string& tag, const Digest& held, const std::string& place) {
  return Error(ErrorKind::conflict,
               fmt::format("tag '{}' names version {} {}", tag, held.short_hex(), place))
      .with_hint("move it with --force");
}

// The names below a prefix, without it.
std::vector<std::string> names_below(Storage& storage, const std::string& prefix) {
  std::vector<std::string> names;
  std::string after;
  for (;;) {
    const ListPage page = storage.list(prefix, after, listed_at_once);
    for (const ListedObject& object : page.objects)
      names.push_back(object.name.substr(prefix.size()));
    if (!page.more || page.objects.empty()) return names;
    after = page.objects.back().name;
  }
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().native());
  if (error && error != std::errc::no_such_file_or_directory)
    throw system_error(error.value(), "read", folder.native());
  return names;
}

std::optional<Digest> version_name(const std::string& name) {
  return name.size() == 64 && is_hex(name) ? parse_digest("sha256:" + name) : std::nullopt;
}

bool is_tag(std::string_view tag) {
  try {
    check_tag(tag);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// The only one of these that begins with the digits; nullopt if none does.
std::optional<Digest> with_prefix(const std::vector<Version>& versions, std::string_view digits) {
  std::optional<Digest> found;
  for (const Version& version : versions) {
    if (!version.digest.hex().starts_with(digits)) continue;
    if (found && *found != version.digest)
      throw Error(ErrorKind::usage,
                  fmt::format("'{}' is the beginning of several versions", digits))
          .with_hint("give more digits; mlp data log lists them");
    found = version.digest;
  }
  return found;
}

} // namespace

void check_tag(std::string_view tag) {
  const auto refuse = [&](std::string_view why) {
    throw Error(ErrorKind::usage, fmt::format("'{}' cannot be a tag: {}", printable(tag), why));
  };
  if (tag.empty() || tag.size() > 100) refuse("it must have 1 to 100 characters");
  const bool plain = std::ranges::all_of(tag, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
  if (!plain) refuse("only letters, digits, '.', '_' and '-' are allowed");
  if (tag.front() == '.' || tag.front() == '-') refuse("it may not begin with that");
  if (tag == "latest") refuse("that is the remote's newest version");
  if (tag.size() >= fewest_digits && is_hex(tag)) refuse("it could be the digits of a version");
}

LocalVersions::LocalVersions(const config::Project& project, const std::string& dataset)
    : dataset_(dataset), root_(project.refs() / "datasets" / dataset) {}

void LocalVersions::record(const Version& version) {
  const fs::path file = root_ / "versions" / version.digest.hex();
  std::error_code ignored;
  if (fs::exists(file, ignored)) return;
  make_directories(file.parent_path());
  write_file_atomic(file, version_text(version));
}

std::vector<Version> LocalVersions::versions() const {
  std::vector<Version> all;
  for (const std::string& name : names_in(root_ / "versions")) {
    const auto digest = version_name(name);
    if (!digest) continue; // a temporary file of a writer
    const fs::path file = root_ / "versions" / name;
    if (const auto text = read_file_if_exists(file, max_ref_bytes))
      all.push_back(parse_version(*digest, *text, file.native()));
  }
  newest_first(all);
  return all;
}

void LocalVersions::forget(const Digest& version) {
  (void)mlp::remove_all(root_ / "versions" / version.hex());
}

Tags LocalVersions::tags() const {
  Tags all;
  for (const std::string& name : names_in(root_ / "tags"))
    if (is_tag(name))
      if (const auto version = tag(name)) all.emplace(name, *version);
  return all;
}

std::optional<Digest> LocalVersions::tag(std::string_view tag) const {
  if (!is_tag(tag)) return std::nullopt;
  const fs::path file = root_ / "tags" / tag;
  const auto text = read_file_if_exists(file, max_ref_bytes);
  if (!text) return std::nullopt;
  return parse_pointer(*text, file.native());
}

void LocalVersions::set_tag(const std::string& tag, const Digest& version, bool force) {
  check_tag(tag);
  const auto held = this->tag(tag);
  if (held == version) return;
  if (held && !force) throw other_version(tag, *held, "already");
  make_directories(root_ / "tags");
  write_file_atomic(root_ / "tags" / tag, version.text() + "\n");
}

bool LocalVersions::remove_tag(const std::string& tag) {
  check_tag(tag);
  return mlp::remove_all(root_ / "tags" / tag);
}

void publish_version(Storage& storage, const std::string& dataset, const Version& version) {
  // Not swapped: the version is published already, and its first time is kept.
  (void)storage.compare_and_swap(version_ref(dataset, version.digest), std::nullopt,
                                 version_text(version));
  const std::string latest = version.digest.text() + "\n";
  std::optional<std::string> current = storage.read_ref(latest_ref(dataset));
  while (current != latest) {
    SwapResult result = storage.compare_and_swap(latest_ref(dataset), current, latest);
    if (result.swapped) return;
    current = std::move(result.current);
  }
}

std::optional<Digest> latest_version(Storage& storage, const std::string& dataset) {
  const auto text = storage.read_ref(latest_ref(dataset));
  if (!text) return std::nullopt;
  const auto digest = parse_digest(trim(*text));
  if (!digest)
    throw Error(ErrorKind::integrity,
                fmt::format("damaged ref '{}' at '{}'", latest_ref(dataset), storage.location()))
        .with_hint("a push of the dataset writes it again");
  return digest;
}

std::vector<Version> remote_versions(Storage& storage, const std::string& dataset) {
  std::vector<Version> all;
  for (const std::string& name : names_below(storage, dataset_refs(dataset) + "versions/")) {
    const auto digest = version_name(name);
    if (!digest) continue;
    const std::string ref = version_ref(dataset, *digest);
    if (const auto text = storage.read_ref(ref))
      all.push_back(parse_version(*digest, *text, ref + "' at '" + storage.location()));
  }
  newest_first(all);
  return all;
}

std::optional<Version> remote_version(Storage& storage, const std::string& dataset,
                                      const Digest& version) {
  const std::string ref = version_ref(dataset, version);
  const auto text = storage.read_ref(ref);
  if (!text) return std::nullopt;
  return parse_version(version, *text, ref + "' at '" + storage.location());
}

void forget_remote_version(Storage& storage, const std::string& dataset, const Digest& version) {
  const std::string ref = version_ref(dataset, version);
  std::optional<std::string> current = storage.read_ref(ref);
  while (current) {
    SwapResult result = storage.compare_and_swap(ref, current, std::nullopt);
    if (result.swapped) return;
    current = std::move(result.current);
  }
}

std::vector<std::string> remote_datasets(Storage& storage) {
  std::vector<std::string> datasets;
  for (const std::string& name : names_below(storage, "refs/")) {
    const std::string_view text = name;
    const std::string_view kind = text.substr(0, text.find('/'));
    if (kind == "pushes" || kind == "gc") continue; // see remote_claim.hpp
    if (kind != "datasets")
      throw Error(ErrorKind::failed, fmt::format("'{}' has refs of a kind that is not known, '{}'",
                                                 storage.location(), printable(name)))
          .with_hint("a newer version of mlp may have written them");
    const std::string_view rest = text.substr(std::min(text.size(), kind.size() + 1));
    std::string dataset(rest.substr(0, rest.find('/')));
    if (datasets.empty() || datasets.back() != dataset) datasets.push_back(std::move(dataset));
  }
  return datasets;
}

std::optional<Digest> remote_tag(Storage& storage, const std::string& dataset,
                                 std::string_view tag) {
  if (!is_tag(tag)) return std::nullopt;
  const std::string ref = tag_ref(dataset, std::string(tag));
  const auto text = storage.read_ref(ref);
  if (!text) return std::nullopt;
  return parse_pointer(*text, ref + "' at '" + storage.location());
}

Tags remote_tags(Storage& storage, const std::string& dataset) {
  Tags all;
  for (const std::string& name : names_below(storage, dataset_refs(dataset) + "tags/")) {
    if (!is_tag(name)) continue;
    const std::string ref = tag_ref(dataset, name);
    if (const auto text = storage.read_ref(ref))
      all.emplace(name, parse_pointer(*text, ref + "' at '" + storage.location()));
  }
  return all;
}

void publish_tag(Storage& storage, const std::string& dataset, const std::string& tag,
                 const Digest& version, bool force) {
  check_tag(tag);
  const std::string ref = tag_ref(dataset, tag);
  const std::string desired = version.text() + "\n";
  std::optional<std::string> current = storage.read_ref(ref);
  while (current != desired) {
    if (current && !force)
      throw other_version(tag, parse_pointer(*current, ref), "at '" + storage.location() + "'");
    SwapResult result = storage.compare_and_swap(ref, current, desired);
    if (result.swapped) return;
    current = std::move(result.current);
  }
}

bool remove_remote_tag(Storage& storage, const std::string& dataset, const std::string& tag) {
  check_tag(tag);
  const std::string ref = tag_ref(dataset, tag);
  std::optional<std::string> current = storage.read_ref(ref);
  while (current) {
    SwapResult result = storage.compare_and_swap(ref, current, std::nullopt);
    if (result.swapped) return true;
    current = std::move(result.current);
  }
  return false;
}

Digest resolve_version(std::string_view text, const LocalVersions& known, Storage* storage,
                       const std::string& dataset) {
  if (const auto digest = parse_digest(text)) return *digest;
  if (text.size() == 64 && is_hex(text))
    if (const auto digest = parse_digest("sha256:" + std::string(text))) return *digest;
  if (text == "latest") {
    if (storage == nullptr)
      throw Error(ErrorKind::not_found, "'latest' is a remote's newest version, and there is none")
          .with_hint("add a remote with: mlp remote add NAME URL");
    if (const auto latest = latest_version(*storage, dataset)) return *latest;
    throw Error(ErrorKind::not_found,
                fmt::format("dataset '{}' is not at '{}'", dataset, storage->location()));
  }
  if (text.size() >= fewest_digits && is_hex(text)) {
    if (const auto found = with_prefix(known.versions(), text)) return *found;
    if (storage != nullptr)
      if (const auto found = with_prefix(remote_versions(*storage, dataset), text)) return *found;
  } else if (const auto found = known.tag(text)) {
    return *found;
  }
  Tags tags = known.tags();
  if (storage != nullptr) tags.merge(remote_tags(*storage, dataset));
  if (const auto found = tags.find(std::string(text)); found != tags.end()) return found->second;
  Error error(ErrorKind::not_found,
              fmt::format("dataset '{}' has no version or tag '{}'", dataset, printable(text)));
  std::vector<std::string> names;
  for (const auto& [tag, version] : tags)
    names.push_back(tag);
  if (const auto near = nearest_name(text, names))
    error.add_hint(fmt::format("did you mean '{}'?", *near));
  else
    error.add_hint("mlp data log " + dataset + " lists them");
  throw error;
}

} // namespace mlp::data
