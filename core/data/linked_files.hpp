// Whole files in the user's cache, and how a checkout puts them in place: by sharing their blocks
// (reflink), as hard links to them, or not at all, which is a copy made from the objects.
//
//   <2 digits>/<62 digits>[x]   a file by the digest of its content's description; x: executable
//
// A file of the cache is read-only, and known to be unchanged by its size and by its modification
// time, whose nanoseconds are those that belong to its name: an edit in place sets others. One that
// was edited is made anew.
#pragma once

#include "core/data/directory.hpp"
#include "core/data/manifest.hpp"
#include "core/data/stat_cache.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace mlp::data {

// `automatic` is reflink where the file system can; else hardlink, but only where a read-only file
// is safe from its owner, which it is not from root; else copy.
enum class LinkMode : std::uint8_t { automatic, reflink, hardlink, copy };
// nullopt for another word than auto, reflink, hardlink and copy.
[[nodiscard]] std::optional<LinkMode> parse_link_mode(std::string_view text) noexcept;
[[nodiscard]] std::string_view link_mode_name(LinkMode mode) noexcept;

// Smaller files are always copied: a link would save no block worth its price.
inline constexpr std::uint64_t min_linked_file = 16 * 1024;

class LinkedFiles {
 public:
  // `folder` is made if need be; files are to be placed below `root`, which need not exist. Throws
  // Error(failed) that says why if the mode is reflink or hardlink and cannot be had.
  LinkedFiles(fs::path folder, const fs::path& root, LinkMode mode);

  // Never automatic.
  [[nodiscard]] LinkMode mode() const noexcept { return mode_; }
  // Whether such a file is linked.
  [[nodiscard]] bool takes(const Entry& entry) const noexcept {
    return mode_ != LinkMode::copy && entry.is_file() && entry.content.size >= min_linked_file;
  }

  // Writes a file under the entry's name into a folder; see file_restore.hpp.
  using Restore = std::function<FileStat(const Directory&, const Entry&)>;
  // Puts the file of an entry, which takes() is true for, in place; `restore` makes it in the cache
  // where it is not there yet, and in place where the link cannot be made. `known` is called with
  // the size where nothing had to be restored. Thread-safe. Throws Error.
  FileStat place(const Directory& here, const Entry& entry, const Restore& restore,
                 const std::function<void(std::uint64_t)>& known);

 private:
  std::shared_ptr<const Directory> bucket(const std::string& name);

  fs::path folder_;
  LinkMode mode_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Directory>> buckets_;
};

} // namespace mlp::data
