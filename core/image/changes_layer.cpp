// The upper folder of an overlay: what a step of a build has changed.
// Sources: OCI Image Format Specification 1.1, layer.md ("Whiteouts"); overlayfs.rst of the kernel;
// reproducible-builds.org on what package managers leave behind.
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"
#include "core/data/directory.hpp"
#include "core/image/file_layers.hpp"
#include "core/image/unpack.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

namespace mlp::image {

namespace {

using data::Directory;
using data::DirectoryItem;
using Kind = TarEntry::Kind;

constexpr int most_depth = 2000;
constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_whiteout = ".wh..wh..opq";

// Whose content goes; the folders themselves stay.
constexpr std::array<std::string_view, 9> emptied = {
    "tmp",        "run", "dev", "proc", "sys", "var/tmp", "var/cache/apt", "var/lib/apt/lists",
    "root/.cache"};
constexpr std::array<std::string_view, 4> removed = {"var/cache/ldconfig/aux-cache",
                                                     "var/lib/systemd/random-seed",
                                                     "etc/machine-id", "var/lib/dbus/machine-id"};

// Logs, the copies that dpkg and debconf keep of their own files, and compiled Python, which holds
// the time of its source.
bool differs_each_time(std::string_view path, std::string_view name, bool folder) {
  if (folder) return name == "__pycache__";
  if (path.starts_with("var/log/")) return true;
  if (name.ends_with(".pyc")) return true;
  if (!name.ends_with("-old")) return false;
  return path.starts_with("var/lib/dpkg/") || path.starts_with("var/cache/debconf/");
}

std::string joined(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : fmt::format("{}/{}", folder, name);
}

class Tidier {
 public:
  Tidier(std::int64_t time, const std::stop_token& stop) : time_(time), stop_(stop) {}

  void folder(const Directory& at, const std::string& path, int depth) {
    if (depth > most_depth) throw Error(ErrorKind::failed, "folders in folders without end");
    const bool empties = std::find(emptied.begin(), emptied.end(), path) != emptied.end();
    for (const DirectoryItem& item : at.list()) {
      throw_if_stopped(stop_);
      const std::string here = joined(path, item.name);
      const bool is_folder = S_ISDIR(item.info.st_mode);
      const bool known = std::find(removed.begin(), removed.end(), here) != removed.end();
      if (empties || known || differs_each_time(here, item.name, is_folder)) {
        remove(at, item);
        continue;
      }
      if (is_folder) folder(*at.open_child(item.name), here, depth + 1);
      // Only now: what is done inside a folder changes its own time.
      set_time(at, item);
    }
  }

 private:
  void remove(const Directory& at, const DirectoryItem& item) {
    if (S_ISDIR(item.info.st_mode)) {
      const auto child = at.open_child(item.name);
      for (const DirectoryItem& inner : child->list())
        remove(*child, inner);
    }
    if (::unlinkat(at.fd(), item.name.c_str(), S_ISDIR(item.info.st_mode) ? AT_REMOVEDIR : 0) != 0)
      throw system_error(errno, "remove", at.path_of(item.name));
  }

  void set_time(const Directory& at, const DirectoryItem& item) const {
    const bool later = item.info.st_mtim.tv_sec >= time_;
    if (!later && !S_ISDIR(item.info.st_mode)) return;
    const std::int64_t seconds = later ? time_ : item.info.st_mtim.tv_sec;
    const std::array<timespec, 2> times = {timespec{seconds, 0}, timespec{seconds, 0}};
    // Best effort: what is written to the layer is brought back there too.
    static_cast<void>(::utimensat(at.fd(), item.name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW));
  }

  std::int64_t time_;
  const std::stop_token& stop_;
};

class ChangesWriter {
 public:
  ChangesWriter(Layout& layout, const std::stop_token& stop) : writer_(layout), stop_(stop) {}

  void folder(const Directory& at, const std::string& path, int depth) {
    if (depth > most_depth) throw Error(ErrorKind::failed, "folders in folders without end");
    char opaque = 0;
    if (::fgetxattr(at.fd(), "user.overlay.opaque", &opaque, 1) == 1 && opaque == 'y')
      put({.path = joined(path, std::string(opaque_whiteout))});
    for (const DirectoryItem& item : at.list()) {
      throw_if_stopped(stop_);
      item_of(at, item, joined(path, item.name), depth);
    }
  }

  std::optional<Layer> finish() {
    if (entries_ == 0) return std::nullopt;
    return writer_.finish();
  }

 private:
  void put(const TarEntry& entry) {
    ++entries_;
    writer_.tar().entry(entry);
  }

  void item_of(const Directory& at, const DirectoryItem& item, const std::string& path, int depth) {
    const struct stat& info = item.info;
    if (S_ISCHR(info.st_mode) && info.st_rdev == 0) {
      const std::size_t name = path.size() - item.name.size();
      put({.path = fmt::format("{}{}{}", path.substr(0, name), whiteout_prefix, item.name)});
      return;
    }
    TarEntry entry{.path = path, .modified = info.st_mtim.tv_sec, .mode = info.st_mode & 07777};
    take_noted_owner(at, item, entry);
    if (S_ISDIR(info.st_mode)) {
      entry.kind = Kind::folder;
      put(entry);
      folder(*at.open_child(item.name), path, depth + 1);
    } else if (S_ISLNK(info.st_mode)) {
      entry.kind = Kind::link;
      entry.mode = 0777;
      entry.target = at.read_link(item.name);
      put(entry);
    } else if (S_ISFIFO(info.st_mode)) {
      entry.kind = Kind::fifo;
      put(entry);
    } else if (S_ISREG(info.st_mode)) {
      if (info.st_nlink > 1) {
        const auto [first, is_new] = linked_.try_emplace({info.st_dev, info.st_ino}, path);
        if (!is_new) {
          entry.kind = Kind::hard_link;
          entry.target = first->second;
          put(entry);
          return;
        }
      }
      File file = at.open_file(item.name);
      ++entries_;
      write_file_entry(writer_.tar(), std::move(entry), file, stop_);
    } // Sockets and devices end with what made them.
  }

  LayerWriter writer_;
  const std::stop_token& stop_;
  std::uint64_t entries_ = 0;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;
};

} // namespace

void tidy_changes(const fs::path& upper, std::int64_t time, const std::stop_token& stop) {
  Tidier(time, stop).folder(*Directory::open(upper), "", 0);
}

std::optional<Layer> write_changes_layer(Layout& layout, const fs::path& upper,
                                         const std::stop_token& stop) {
  ChangesWriter writer(layout, stop);
  writer.folder(*Directory::open(upper), "", 0);
  return writer.finish();
}

} // namespace mlp::image
