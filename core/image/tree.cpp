// Folders are opened one below the other by descriptor, never by a path that a link could bend.
#include "core/image/tree.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/data/directory.hpp"
#include "core/data/ignore.hpp"
#include "core/image/unpack.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <set>
#include <utility>

namespace mlp::image {

namespace {

using data::Directory;
using data::DirectoryItem;
using DirectoryPointer = std::shared_ptr<const Directory>;

constexpr int most_links = 40; // in one path, as Linux has it
constexpr const char* opaque_attribute = "user.overlay.opaque";

std::string joined(std::string_view folder, std::string_view name) {
  return folder.empty() ? std::string(name) : fmt::format("{}/{}", folder, name);
}

std::pair<std::string, std::string> split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

TarEntry::Kind kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
  case S_IFDIR:
    return TarEntry::Kind::folder;
  case S_IFLNK:
    return TarEntry::Kind::link;
  case S_IFCHR:
    return TarEntry::Kind::character_device;
  case S_IFBLK:
    return TarEntry::Kind::block_device;
  case S_IFIFO:
  case S_IFSOCK:
    return TarEntry::Kind::fifo;
  default:
    return TarEntry::Kind::file;
  }
}

TreeNode node_of(const Directory& folder, const DirectoryItem& item, std::string path) {
  TreeNode node;
  const struct stat& info = item.info;
  node.entry.path = std::move(path);
  node.entry.kind = kind_of(info.st_mode);
  node.entry.mode = info.st_mode & 07777;
  node.entry.modified = info.st_mtim.tv_sec;
  if (node.entry.kind == TarEntry::Kind::file)
    node.entry.size = static_cast<std::uint64_t>(info.st_size);
  if (node.entry.kind == TarEntry::Kind::link) node.entry.target = folder.read_link(item.name);
  if (node.entry.kind == TarEntry::Kind::character_device ||
      node.entry.kind == TarEntry::Kind::block_device) {
    node.entry.device_major = major(info.st_rdev);
    node.entry.device_minor = minor(info.st_rdev);
  }
  node.changed = info.st_ctim.tv_sec * std::int64_t{1'000'000'000} + info.st_ctim.tv_nsec;
  node.stamp = fmt::format("{} {} {} {} {}.{}", info.st_dev, info.st_ino, info.st_size,
                           node.changed, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  return node;
}

std::optional<DirectoryItem> look_up(const Directory& folder, const std::string& name) {
  DirectoryItem item{name, {}};
  if (::fstatat(folder.fd(), name.c_str(), &item.info, AT_SYMLINK_NOFOLLOW) == 0) return item;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw system_error(errno, "read", folder.path_of(name));
}

bool is_whiteout(const DirectoryItem& item) {
  return S_ISCHR(item.info.st_mode) && item.info.st_rdev == 0;
}

bool is_opaque(const Directory& folder) {
  char value = 0;
  return ::fgetxattr(folder.fd(), opaque_attribute, &value, 1) == 1 && value == 'y';
}

// Where a path leads in one layer.
struct LayerFolder {
  DirectoryPointer folder; // nullptr: it is not in this layer
  bool last = false;       // nothing of the layers below is seen there
};
LayerFolder folder_in_layer(const DirectoryPointer& layer, std::string_view path) {
  DirectoryPointer folder = layer;
  bool last = is_opaque(*folder);
  for (const std::string& name : path_components(path)) {
    const auto item = look_up(*folder, name);
    if (!item) return {nullptr, last};
    if (!S_ISDIR(item->info.st_mode)) return {nullptr, true};
    folder = folder->open_child(name);
    last = last || is_opaque(*folder);
  }
  return {folder, last};
}

} // namespace

void take_noted_owner(const Directory& folder, const DirectoryItem& item, TarEntry& entry) {
  entry.uid = entry.gid = 0;
  if (!S_ISDIR(item.info.st_mode) && !S_ISREG(item.info.st_mode)) return;
  // Through the descriptor of the folder, so that no link on the way is followed.
  const std::string path = fmt::format("/proc/self/fd/{}/{}", folder.fd(), item.name);
  std::array<char, 32> value{};
  const ssize_t size = ::lgetxattr(path.c_str(), owner_attribute, value.data(), value.size());
  if (size <= 0) return;
  const char* end = value.data() + size;
  std::uint32_t uid = 0, gid = 0;
  const auto [colon, wrong] = std::from_chars(value.data(), end, uid);
  if (wrong != std::errc() || colon == end || *colon != ':') return;
  if (std::from_chars(colon + 1, end, gid).ec != std::errc()) return;
  entry.uid = uid;
  entry.gid = gid;
}

std::vector<std::string> path_components(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0) out.emplace_back(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return out;
}

DirectoryPointer open_folder(const DirectoryPointer& root, std::string_view path) {
  DirectoryPointer folder = root;
  for (const std::string& name : path_components(path)) {
    const auto item = look_up(*folder, name);
    if (!item || !S_ISDIR(item->info.st_mode)) return nullptr;
    folder = folder->open_child(name);
  }
  return folder;
}

std::optional<std::string> Tree::resolve(std::string_view path) {
  std::vector<std::string> left = path_components(path), done;
  std::reverse(left.begin(), left.end());
  int links = 0;
  while (!left.empty()) {
    const std::string name = std::move(left.back());
    left.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    const std::string here = joined(fmt::format("{}", fmt::join(done, "/")), name);
    const std::optional<TreeNode> node = find(here);
    if (!node) return std::nullopt;
    if (node->entry.kind != TarEntry::Kind::link) {
      done.push_back(name);
      continue;
    }
    if (++links > most_links) return std::nullopt;
    if (node->entry.target.starts_with('/')) done.clear();
    std::vector<std::string> parts = path_components(node->entry.target);
    left.insert(left.end(), std::make_move_iterator(parts.rbegin()),
                std::make_move_iterator(parts.rend()));
  }
  return fmt::format("{}", fmt::join(done, "/"));
}

std::optional<std::string> Tree::read(std::string_view path, std::uint64_t limit) {
  const std::optional<std::string> place = resolve(path);
  if (!place || place->empty()) return std::nullopt;
  const std::optional<TreeNode> node = find(*place);
  if (!node || node->entry.kind != TarEntry::Kind::file) return std::nullopt;
  if (node->entry.size > limit)
    throw Error(ErrorKind::failed,
                fmt::format("'{}' is larger than {}", printable(*place), format_bytes(limit)));
  File file = open(*place);
  std::string text(static_cast<std::size_t>(node->entry.size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const std::size_t n =
        file.read(std::as_writable_bytes(std::span(text.data() + done, text.size() - done)));
    if (n == 0) break;
    done += n;
  }
  text.resize(done);
  return text;
}

FolderTree::FolderTree(const fs::path& root, Ignored ignored)
    : root_(Directory::open(root)), ignored_(std::move(ignored)) {}

std::optional<TreeNode> FolderTree::find(const std::string& path) {
  if (path.empty()) {
    DirectoryItem item{".", {}};
    if (::fstat(root_->fd(), &item.info) != 0) throw system_error(errno, "read", root_->path());
    return node_of(*root_, item, "");
  }
  const auto [parent, name] = split(path);
  const DirectoryPointer folder = open_folder(root_, parent);
  const auto item = folder ? look_up(*folder, name) : std::nullopt;
  if (!item) return std::nullopt;
  // A folder above may be ignored too.
  for (std::size_t slash = path.find('/'); ignored_ && slash != std::string::npos;
       slash = path.find('/', slash + 1))
    if (ignored_(path.substr(0, slash), true)) return std::nullopt;
  if (ignored_ && ignored_(path, S_ISDIR(item->info.st_mode))) return std::nullopt;
  return node_of(*folder, *item, path);
}

std::vector<TreeNode> FolderTree::list(const std::string& path) {
  std::vector<TreeNode> out;
  const DirectoryPointer folder = open_folder(root_, path);
  if (!folder) return out;
  for (const DirectoryItem& item : folder->list()) {
    const std::string here = joined(path, item.name);
    if (ignored_ && ignored_(here, S_ISDIR(item.info.st_mode))) continue;
    out.push_back(node_of(*folder, item, here));
  }
  return out;
}

File FolderTree::open(const std::string& path) {
  const auto [parent, name] = split(path);
  const DirectoryPointer folder = open_folder(root_, parent);
  if (!folder) throw system_error(ENOENT, "read", root_->path_of(path));
  return folder->open_file(name);
}

FolderTree::Ignored ignored_by_mlpignore(const fs::path& root) {
  struct Known {
    DirectoryPointer root;
    std::map<std::string, std::vector<data::IgnorePattern>> patterns; // by folder
  };
  const auto known = std::make_shared<Known>(Known{Directory::open(root), {}});
  const auto patterns_of = [known](const std::string& path) {
    const auto found = known->patterns.find(path);
    if (found != known->patterns.end()) return found->second;
    std::vector<data::IgnorePattern> patterns;
    const DirectoryPointer folder = open_folder(known->root, path);
    const std::string name(data::ignore_file_name);
    if (const auto item = folder ? look_up(*folder, name) : std::nullopt;
        item && S_ISREG(item->info.st_mode)) {
      std::string text(data::max_ignore_bytes + 1, '\0');
      File file = folder->open_file(name);
      text.resize(file.read(std::as_writable_bytes(std::span(text.data(), text.size()))));
      if (text.size() > data::max_ignore_bytes)
        throw Error(ErrorKind::failed,
                    fmt::format("'{}' is larger than 1 MiB", folder->path_of(name)));
      patterns = data::parse_ignore(text);
    }
    return known->patterns.emplace(path, std::move(patterns)).first->second;
  };
  return [patterns_of](const std::string& path, bool folder) {
    const std::vector<std::string> parts = path_components(path);
    data::IgnoreRules rules;
    std::string above;
    rules.enter("", patterns_of(above));
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      above = joined(above, parts[i]);
      rules.enter(parts[i], patterns_of(above));
    }
    return rules.ignores(parts.back(), folder);
  };
}

MergedTree::MergedTree(const std::vector<fs::path>& layers) {
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
    layers_.push_back(Directory::open(*layer));
}

std::optional<TreeNode> MergedTree::find(const std::string& path) {
  if (path.empty()) {
    TreeNode root;
    root.entry.kind = TarEntry::Kind::folder;
    root.entry.mode = 0755;
    return root;
  }
  const auto [parent, name] = split(path);
  for (const DirectoryPointer& layer : layers_) {
    const LayerFolder place = folder_in_layer(layer, parent);
    if (place.folder) {
      if (const auto item = look_up(*place.folder, name)) {
        if (is_whiteout(*item)) return std::nullopt;
        TreeNode node = node_of(*place.folder, *item, path);
        take_noted_owner(*place.folder, *item, node.entry);
        return node;
      }
    }
    if (place.last) return std::nullopt;
  }
  return std::nullopt;
}

std::vector<TreeNode> MergedTree::list(const std::string& path) {
  std::map<std::string, std::optional<TreeNode>> seen; // absent: taken away
  for (const DirectoryPointer& layer : layers_) {
    const LayerFolder place = folder_in_layer(layer, path);
    if (place.folder) {
      for (const DirectoryItem& item : place.folder->list()) {
        if (seen.contains(item.name)) continue;
        std::optional<TreeNode>& node = seen[item.name];
        if (is_whiteout(item)) continue;
        node = node_of(*place.folder, item, joined(path, item.name));
        take_noted_owner(*place.folder, item, node->entry);
      }
    }
    if (place.last) break;
  }
  std::vector<TreeNode> out;
  for (auto& [name, node] : seen)
    if (node) out.push_back(std::move(*node));
  return out;
}

File MergedTree::open(const std::string& path) {
  const auto [parent, name] = split(path);
  for (const DirectoryPointer& layer : layers_) {
    const LayerFolder place = folder_in_layer(layer, parent);
    if (place.folder) {
      if (const auto item = look_up(*place.folder, name)) {
        if (is_whiteout(*item)) break;
        return place.folder->open_file(name);
      }
    }
    if (place.last) break;
  }
  throw Error(ErrorKind::not_found, fmt::format("no file '/{}' in the image", printable(path)));
}

} // namespace mlp::image
