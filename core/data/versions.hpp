// The versions of a dataset that are known, and the tags that name them: here below .mlp/refs, and
// at a remote. Both places hold the same texts under the same names (docs/formats.md):
//
//   datasets/<name>/versions/<64 hex>   one a version: {"bytes":..,"files":..,"time":".."}
//   datasets/<name>/latest              "sha256:<64 hex>\n"; at a remote only
//   datasets/<name>/tags/<tag>          the same
#pragma once

#include "core/base/digest.hpp"
#include "core/base/time.hpp"
#include "core/config/project.hpp"
#include "core/data/storage.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::data {

struct Version {
  Digest digest;
  std::uint64_t files = 0, bytes = 0;
  WallTime time; // when it was first recorded there
};

using Tags = std::map<std::string, Digest>;

// A tag is 1 to 100 characters of [A-Za-z0-9._-], does not begin with '.' or '-', and cannot be
// taken for "latest" or for a digest. Throws Error(usage) that says why it is none.
void check_tag(std::string_view tag);

// What this machine knows of a dataset. Several processes may write at once. Methods block on the
// disk and throw Error; what is damaged is Error(integrity) naming the file.
class LocalVersions {
 public:
  LocalVersions(const config::Project& project, const std::string& dataset);

  // Durable. Does nothing if the version is known.
  void record(const Version& version);
  [[nodiscard]] std::vector<Version> versions() const; // newest first
  void forget(const Digest& version);
  [[nodiscard]] Tags tags() const;
  [[nodiscard]] std::optional<Digest> tag(std::string_view tag) const;
  // Throws Error(conflict) if the tag names another version, unless `force`.
  void set_tag(const std::string& tag, const Digest& version, bool force = false);
  bool remove_tag(const std::string& tag); // false if there was none

 private:
  std::string dataset_;
  fs::path root_;
};

// Writes the version and makes it the latest, after the objects were sent. Of two that publish at
// once both are kept, and the later is the latest.
void publish_version(Storage& storage, const std::string& dataset, const Version& version);
// nullopt if the remote does not know the dataset. Throws Error(integrity) for a ref that is none.
[[nodiscard]] std::optional<Digest> latest_version(Storage& storage, const std::string& dataset);
[[nodiscard]] std::vector<Version> remote_versions(Storage& storage, const std::string& dataset);
// One of them; nullopt if the remote does not have it.
[[nodiscard]] std::optional<Version> remote_version(Storage& storage, const std::string& dataset,
                                                    const Digest& version);
[[nodiscard]] std::optional<Digest> remote_tag(Storage& storage, const std::string& dataset,
                                               std::string_view tag);
[[nodiscard]] Tags remote_tags(Storage& storage, const std::string& dataset);
// No longer listed there, if it was.
void forget_remote_version(Storage& storage, const std::string& dataset, const Digest& version);
// The datasets that the remote has refs of, in order. Throws Error(failed) if it has refs of a kind
// that this program does not know.
[[nodiscard]] std::vector<std::string> remote_datasets(Storage& storage);
// Throws Error(conflict) if the tag names another version there, unless `force`.
void publish_tag(Storage& storage, const std::string& dataset, const std::string& tag,
                 const Digest& version, bool force = false);
bool remove_remote_tag(Storage& storage, const std::string& dataset, const std::string& tag);

// The version that `text` means: a tag, "latest" (of the remote), "sha256:<64 hex>", or at least
// four of its first hexadecimal digits. `known` are asked first, then `storage` if it is given.
// Throws Error: not_found, with the nearest tag; usage if the digits are those of several.
[[nodiscard]] Digest resolve_version(std::string_view text, const LocalVersions& known,
                                     Storage* storage, const std::string& dataset);

} // namespace mlp::data
