// Files of which layers are made or that are read out of layers: a folder of this machine, or the
// layers of an image as one file system. No symbolic link leads out of either.
#pragma once

#include "core/base/fs.hpp"
#include "core/base/tar.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::data {
class Directory;
struct DirectoryItem;
} // namespace mlp::data

namespace mlp::image {

struct TreeNode {
  TarEntry entry; // its path is relative to the tree's root
  // Of device, inode, size and times: the same as long as nobody wrote to it.
  std::string stamp;
  std::int64_t changed = 0; // ctime, ns since 1970
};

// Paths are relative, without "." and ".."; "" is the root. Not thread-safe. Blocks on the file
// system. Throws Error for what cannot be read.
class Tree {
 public:
  virtual ~Tree() = default;
  // Does not follow a link; nullopt if there is nothing, also below what is no folder.
  [[nodiscard]] virtual std::optional<TreeNode> find(const std::string& path) = 0;
  // What is in a folder, in byte order. Empty for what is no folder.
  [[nodiscard]] virtual std::vector<TreeNode> list(const std::string& path) = 0;
  // A regular file.
  [[nodiscard]] virtual File open(const std::string& path) = 0;

  // The path that `path` leads to when links are followed, as a root directory would have it.
  // nullopt if there is nothing, or links go in a circle.
  [[nodiscard]] std::optional<std::string> resolve(std::string_view path);
  // The content of a regular file after following links, up to `limit` bytes; nullopt if there is
  // none.
  [[nodiscard]] std::optional<std::string> read(std::string_view path,
                                                std::uint64_t limit = 16u << 20);
};

// A folder; what `ignored` says is passed over, as is all below an ignored folder.
class FolderTree : public Tree {
 public:
  using Ignored = std::function<bool(const std::string& path, bool folder)>;
  explicit FolderTree(const fs::path& root, Ignored ignored = {});
  [[nodiscard]] std::optional<TreeNode> find(const std::string& path) override;
  [[nodiscard]] std::vector<TreeNode> list(const std::string& path) override;
  [[nodiscard]] File open(const std::string& path) override;

 private:
  std::shared_ptr<const data::Directory> root_;
  Ignored ignored_;
};

// What .mlpignore files say of a folder's content; for FolderTree.
[[nodiscard]] FolderTree::Ignored ignored_by_mlpignore(const fs::path& root);

// Unpacked layers, the base first, as unpack.hpp keeps them.
class MergedTree : public Tree {
 public:
  explicit MergedTree(const std::vector<fs::path>& layers);
  [[nodiscard]] std::optional<TreeNode> find(const std::string& path) override;
  [[nodiscard]] std::vector<TreeNode> list(const std::string& path) override;
  [[nodiscard]] File open(const std::string& path) override;

 private:
  std::vector<std::shared_ptr<const data::Directory>> layers_; // the top first
};

// The folder at a path below a root, no link followed; nullptr if it is none.
[[nodiscard]] std::shared_ptr<const data::Directory>
open_folder(const std::shared_ptr<const data::Directory>& root, std::string_view path);

// The owner that was noted when the entry was unpacked (see unpack.hpp), else 0:0.
void take_noted_owner(const data::Directory& folder, const data::DirectoryItem& item,
                      TarEntry& entry);

// "a/b/c" -> "a", "b", "c".
[[nodiscard]] std::vector<std::string> path_components(std::string_view path);

} // namespace mlp::image
