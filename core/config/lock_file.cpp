// mlp.lock is read as strictly as mlp.yaml: a merge conflict or a slip of an editor must not pass
// for a version.
#include "core/config/lock_file.hpp"

#include "core/base/text.hpp"
#include "core/config/yaml.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace mlp::config {

namespace {

constexpr std::uint64_t known_version = 1;
constexpr YamlLimits limits{.max_bytes = 16u << 20, .max_nodes = 1'000'000};
constexpr std::string_view heading = "# Written by mlp: the versions in use. Keep it in git.\n";

Error located(const YamlDocument& document, Position position, std::string_view message) {
  Error error = document.error_at(position, message);
  error.add_hint("mlp writes this file; take a good version of it from git");
  return error;
}

const YamlNode& member(const YamlDocument& document, const YamlNode& map, std::string_view key) {
  const YamlNode* value = map.find(key);
  if (value == nullptr)
    throw located(document, map.position, fmt::format("key '{}' is missing here", key));
  return *value;
}

std::uint64_t number(const YamlDocument& document, const YamlNode& map, std::string_view key) {
  const YamlNode& node = member(document, map, key);
  const char* const end = node.text.data() + node.text.size();
  std::uint64_t value = 0;
  const auto [stop, code] = std::from_chars(node.text.data(), end, value);
  if (node.text.empty() || node.quoted || code != std::errc() || stop != end)
    throw located(document, node.position, fmt::format("'{}' must be a whole number", key));
  return value;
}

void expect_map(const YamlDocument& document, const YamlNode& node, std::string_view what) {
  if (node.kind != YamlKind::mapping)
    throw located(document, node.position, fmt::format("{} must be a map", what));
}

void refuse_other_keys(const YamlDocument& document, const YamlNode& map,
                       std::initializer_list<std::string_view> known) {
  for (const YamlEntry& entry : map.entries)
    if (std::find(known.begin(), known.end(), entry.key) == known.end())
      throw located(document, entry.key_position,
                    fmt::format("unknown key '{}'", printable(entry.key)));
}

Digest digest(const YamlDocument& document, const YamlNode& node, std::string_view key) {
  const auto value = node.text.starts_with("sha256:") ? parse_digest(node.text) : std::nullopt;
  if (!value)
    throw located(document, node.position,
                  fmt::format("'{}' must be sha256: and 64 hexadecimal digits", printable(key)));
  return *value;
}
Digest digest_member(const YamlDocument& document, const YamlNode& map, std::string_view key) {
  return digest(document, member(document, map, key), key);
}

DatasetLock read_dataset(const YamlDocument& document, const YamlEntry& entry) {
  if (!is_valid_name(entry.key))
    throw located(document, entry.key_position,
                  fmt::format("'{}' is not a valid name", printable(entry.key)));
  expect_map(document, entry.value, fmt::format("'{}'", entry.key));
  refuse_other_keys(document, entry.value, {"digest", "files", "bytes"});
  return {digest_member(document, entry.value, "digest"), number(document, entry.value, "files"),
          number(document, entry.value, "bytes")};
}

std::vector<PackageLock> read_packages(const YamlDocument& document, const YamlNode& image,
                                       std::string_view key) {
  std::vector<PackageLock> out;
  const YamlNode* list = image.find(key);
  if (list == nullptr || list->kind == YamlKind::null) return out;
  if (list->kind != YamlKind::sequence)
    throw located(document, list->position, fmt::format("'{}' must be a list", key));
  for (const YamlNode& item : list->items) {
    expect_map(document, item, "a package");
    refuse_other_keys(document, item, {"name", "version", "url", "digest", "bytes"});
    PackageLock& package = out.emplace_back();
    package.name = member(document, item, "name").text;
    package.version = member(document, item, "version").text;
    package.url = member(document, item, "url").text;
    package.digest = digest_member(document, item, "digest");
    package.bytes = number(document, item, "bytes");
  }
  return out;
}

ImageLock read_image(const YamlDocument& document, const YamlNode& node) {
  expect_map(document, node, "'image'");
  refuse_other_keys(document, node,
                    {"system_inputs", "python_inputs", "environment", "bases", "system_packages",
                     "python_packages"});
  ImageLock image;
  image.system_inputs = digest_member(document, node, "system_inputs");
  image.python_inputs = digest_member(document, node, "python_inputs");
  if (const YamlNode* environment = node.find("environment"))
    image.environment = digest(document, *environment, "environment");
  if (const YamlNode* bases = node.find("bases");
      bases != nullptr && bases->kind != YamlKind::null) {
    expect_map(document, *bases, "'bases'");
    for (const YamlEntry& base : bases->entries)
      image.bases.emplace(base.key, digest(document, base.value, base.key));
  }
  image.system_packages = read_packages(document, node, "system_packages");
  image.python_packages = read_packages(document, node, "python_packages");
  return image;
}

std::string format_packages(std::string_view key, const std::vector<PackageLock>& packages) {
  std::string text;
  if (!packages.empty()) text += fmt::format("  {}:\n", key);
  for (const PackageLock& package : packages)
    text += fmt::format(
        "    - name: {}\n      version: {}\n      url: {}\n      digest: {}\n      bytes: {}\n",
        yaml_quote(package.name), yaml_quote(package.version), yaml_quote(package.url),
        package.digest.text(), package.bytes);
  return text;
}

std::string format_image(const ImageLock& image) {
  std::string text = fmt::format("image:\n  system_inputs: {}\n  python_inputs: {}\n",
                                 image.system_inputs.text(), image.python_inputs.text());
  if (image.environment) text += fmt::format("  environment: {}\n", image.environment->text());
  if (!image.bases.empty()) text += "  bases:\n";
  for (const auto& [reference, value] : image.bases)
    text += fmt::format("    {}: {}\n", yaml_quote(reference), value.text());
  text += format_packages("system_packages", image.system_packages);
  text += format_packages("python_packages", image.python_packages);
  return text;
}

LockFile read(const YamlDocument& document) {
  LockFile lock;
  const YamlNode& root = document.root();
  expect_map(document, root, "this file");
  const std::uint64_t version = number(document, root, "version");
  if (version != known_version)
    throw Error(ErrorKind::config, fmt::format("{} has version {}, and this mlp knows version {}",
                                               document.name(), version, known_version))
        .with_hint("it was written by a newer mlp: update this one");
  refuse_other_keys(document, root, {"version", "datasets", "image"});
  if (const YamlNode* datasets = root.find("datasets");
      datasets != nullptr && datasets->kind != YamlKind::null) {
    expect_map(document, *datasets, "'datasets'");
    for (const YamlEntry& entry : datasets->entries)
      lock.datasets.emplace(entry.key, read_dataset(document, entry));
  }
  if (const YamlNode* image = root.find("image"); image != nullptr && image->kind != YamlKind::null)
    lock.image = read_image(document, *image);
  return lock;
}

} // namespace

LockFile parse_lock_file(std::string text, std::string name) {
  return read(YamlDocument::parse(std::move(text), std::move(name), limits));
}

std::string format_lock_file(const LockFile& lock) {
  std::string text(heading);
  text += fmt::format("version: {}\n", known_version);
  if (!lock.datasets.empty()) text += "datasets:\n";
  for (const auto& [name, dataset] : lock.datasets)
    text += fmt::format("  {}:\n    digest: {}\n    files: {}\n    bytes: {}\n", yaml_quote(name),
                        dataset.digest.text(), dataset.files, dataset.bytes);
  if (lock.image) text += format_image(*lock.image);
  return text;
}

LockFile load_lock_file(const Project& project) {
  auto text = read_file_if_exists(project.lock_file(), limits.max_bytes);
  if (!text) return {};
  return parse_lock_file(std::move(*text));
}

void update_lock(const Project& project, const std::function<void(LockFile&)>& change) {
  make_directories(project.locks());
  const FileLock guard(project.locks() / "config.lock", "the project's configuration",
                       std::chrono::seconds(30));
  const LockFile before = load_lock_file(project);
  LockFile after = before;
  change(after);
  if (after == before) return;
  write_file_atomic(project.lock_file(), format_lock_file(after));
}

} // namespace mlp::config
