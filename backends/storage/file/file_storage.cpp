// Objects as files. Order of each write: temporary file, fsync, rename, fsync of the folder.
#include "backends/storage/file/file_storage.hpp"

#include "backends/storage/file/listing.hpp"
#include "core/base/error.hpp"
#include "core/base/ids.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <map>

namespace mlp::storage {

namespace {

using data::check_name_kind;
using data::check_object_name;

class FileStorage;

class FileWriter final : public data::ObjectWriter {
 public:
  FileWriter(FileStorage& storage, std::string name);
  ~FileWriter() override;
  void append(std::span<const std::byte> data) override;
  void commit() override;

 private:
  FileStorage& storage_;
  std::string name_;
  fs::path temporary_;
  File file_;
  std::uint64_t unsynced_ = 0;
  std::uint64_t written_ = 0;
  bool committed_ = false;
};

class FileStorage final : public data::Storage,
                          public data::AbandonedWrites,
                          public data::LinkedObjects {
 public:
  FileStorage(fs::path root, std::string location, bool link)
      : root_(std::move(root)), location_(std::move(location)), link_(link) {}

  [[nodiscard]] std::string location() const override { return location_; }

  [[nodiscard]] std::vector<std::optional<std::uint64_t>>
  has(std::span<const std::string> names) override;
  std::size_t read(std::string_view name, std::uint64_t offset, std::span<std::byte> into) override;
  [[nodiscard]] std::unique_ptr<data::ObjectWriter> write(std::string_view name) override {
    check_name_kind(name, false);
    return std::make_unique<FileWriter>(*this, std::string(name));
  }
  [[nodiscard]] data::ListPage list(std::string_view prefix, std::string_view after,
                                    std::size_t limit) override;
  void remove(std::span<const std::string> names) override;
  [[nodiscard]] std::optional<std::string> read_ref(std::string_view name) override;
  data::SwapResult compare_and_swap(std::string_view name,
                                    const std::optional<std::string>& expected,
                                    const std::optional<std::string>& desired) override;
  std::size_t remove_abandoned_writes() override;
  bool link_from(const fs::path& file, std::string_view name) override;
  bool link_to(std::string_view name, const fs::path& target) override;

  // What the writer uses.
  [[nodiscard]] fs::path path_of(std::string_view name) const { return root_ / name; }
  [[nodiscard]] const fs::path& root() const { return root_; }
  void prepare_root(); // makes the root and its two folders
  Error explain(Error error, std::string_view name) const {
    error.add_context(fmt::format("while using object '{}' at '{}'", name, location_));
    return error;
  }

 private:
  // Keeps listing.txt true for readers by HTTP, who see a ref only after what it needs. `ref` is
  // about to be there (or gone). Under the lock of refs. Not synced: the next swap mends it.
  void write_listing(const std::string& ref, std::optional<std::uint64_t> ref_size);
  // True if the root is there; false if it is not but could be made; else throws unreachable.
  bool root_exists() const;
  void collect(const fs::path& folder, std::string_view relative, std::string_view prefix,
               std::string_view after, std::size_t limit, data::ListPage& page) const;

  fs::path root_;
  std::string location_;
  bool link_;
};

bool is_folder(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// Makes the folders of `relative` below `root` and their names durable.
void make_parents(const fs::path& root, const fs::path& relative) {
  fs::path folder = root;
  for (const auto& part : relative.parent_path()) {
    const fs::path parent = folder;
    folder /= part;
    if (::mkdir(folder.c_str(), 0777) == 0)
      sync_directory(parent);
    else if (errno != EEXIST)
      throw system_error(errno, "create folder", folder.native());
  }
}

FileWriter::FileWriter(FileStorage& storage, std::string name)
    : storage_(storage), name_(std::move(name)) {
  storage_.prepare_root();
  while (true) {
    temporary_ = storage_.root() / ".tmp" / random_token(16);
    const int fd = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) throw storage_.explain(system_error(errno, "write", temporary_.native()), name_);
    file_ = File(fd);
    // The lock says that the writer lives. A cleaner may have come between open and lock.
    ::flock(fd, LOCK_EX);
    struct stat info {};
    if (::fstat(fd, &info) == 0 && info.st_nlink > 0) return;
  }
}

FileWriter::~FileWriter() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void FileWriter::append(std::span<const std::byte> data) {
  try {
    file_.write(data);
  } catch (Error& error) {
    throw storage_.explain(std::move(error), name_);
  }
  written_ += data.size();
  unsynced_ += data.size();
  if (unsynced_ >= (8u << 20)) { // write back early, so that the sync at the end is short
    ::sync_file_range(file_.fd(), static_cast<off_t>(written_ - unsynced_),
                      static_cast<off_t>(unsynced_), SYNC_FILE_RANGE_WRITE);
    unsynced_ = 0;
  }
}

void FileWriter::commit() {
  const fs::path target = storage_.path_of(name_);
  try {
    if (::fsync(file_.fd()) != 0) throw system_error(errno, "sync", temporary_.native());
    make_parents(storage_.root(), fs::path(name_));
    if (::rename(temporary_.c_str(), target.c_str()) != 0)
      throw system_error(errno, "write", target.native());
  } catch (Error& error) {
    throw storage_.explain(std::move(error), name_);
  }
  committed_ = true;
  sync_directory(target.parent_path());
}

bool FileStorage::link_from(const fs::path& file, std::string_view name) {
  check_name_kind(name, false);
  if (!link_) return false;
  prepare_root();
  make_parents(root_, fs::path(name));
  try {
    return link_file(file, path_of(name));
  } catch (Error& error) {
    throw explain(std::move(error), name);
  }
}

bool FileStorage::link_to(std::string_view name, const fs::path& target) {
  check_name_kind(name, false);
  return link_ && link_file(path_of(name), target);
}

bool FileStorage::root_exists() const {
  if (is_folder(root_)) return true;
  struct stat info {};
  if (::lstat(root_.c_str(), &info) == 0) {
    if (is_folder(root_)) return true; // another has made it between the two looks
    throw Error(ErrorKind::unreachable, fmt::format("remote '{}' is not a folder", location_));
  }
  if (!is_folder(root_.parent_path()))
    throw Error(ErrorKind::unreachable,
                fmt::format("remote '{}' is not reachable: there is no folder '{}'", location_,
                            root_.parent_path().native()))
        .with_hint("mount or create that folder, or change the remote with 'mlp remote add'");
  return false;
}

void FileStorage::prepare_root() {
  if (!root_exists()) {
    if (::mkdir(root_.c_str(), 0777) != 0 && errno != EEXIST)
      throw system_error(errno, "create folder", root_.native());
    sync_directory(root_.parent_path());
  }
  for (const char* name : {".tmp", ".locks"}) {
    const fs::path folder = root_ / name;
    if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST)
      throw system_error(errno, "create folder", folder.native());
  }
}

std::vector<std::optional<std::uint64_t>> FileStorage::has(std::span<const std::string> names) {
  for (const auto& name : names)
    check_object_name(name);
  std::vector<std::optional<std::uint64_t>> sizes(names.size());
  if (!root_exists()) return sizes;
  for (std::size_t i = 0; i < names.size(); ++i) {
    struct stat info {};
    const fs::path path = path_of(names[i]);
    if (::lstat(path.c_str(), &info) == 0) {
      if (S_ISREG(info.st_mode)) sizes[i] = static_cast<std::uint64_t>(info.st_size);
    } else if (errno != ENOENT && errno != ENOTDIR) {
      throw explain(system_error(errno, "read", path.native()), names[i]);
    }
  }
  return sizes;
}

std::size_t FileStorage::read(std::string_view name, std::uint64_t offset,
                              std::span<std::byte> into) {
  check_object_name(name);
  (void)root_exists();
  const fs::path path = path_of(name);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) {
    const int code = errno == ENOTDIR || errno == ELOOP ? ENOENT : errno;
    throw explain(system_error(code, "read", path.native()), name);
  }
  const File file(fd);
  if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - into.size())
    return 0;
  try {
    return file.read_at(into, offset);
  } catch (Error& error) {
    throw explain(std::move(error), name);
  }
}

// Depth first in byte order of the full name: a folder "a" sorts as "a/", so among its siblings it
// comes after "a.b" ('.' < '/') and before "a0".
void FileStorage::collect(const fs::path& folder, std::string_view relative,
                          std::string_view prefix, std::string_view after, std::size_t limit,
                          data::ListPage& page) const {
  std::map<std::string, bool> entries; // name as it sorts -> is a folder
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().native();
    if (name.front() == '.' || (relative.empty() && name == listing_name)) continue;
    std::error_code type_code;
    const fs::file_status status = it->symlink_status(type_code);
    if (fs::is_directory(status)) {
      const std::string full = std::string(relative) + name + "/";
      const bool may_match = full.starts_with(prefix) || prefix.starts_with(full);
      const bool may_follow = full > after || after.starts_with(full);
      if (may_match && may_follow) entries.emplace(name + "/", true);
    } else if (fs::is_regular_file(status)) {
      const std::string full = std::string(relative) + name;
      if (full.starts_with(prefix) && full > after) entries.emplace(name, false);
    }
  }
  if (code && code != std::errc::no_such_file_or_directory)
    throw system_error(code.value(), "list", folder.native());
  for (const auto& [name, is_folder] : entries) {
    const std::string full = std::string(relative) + name;
    if (is_folder) {
      collect(folder / name, full, prefix, after, limit, page);
    } else {
      struct stat info {};
      if (::lstat((folder / name).c_str(), &info) != 0) continue; // removed meanwhile
      if (page.objects.size() == limit) {
        page.more = true;
        return;
      }
      page.objects.push_back({full, static_cast<std::uint64_t>(info.st_size)});
    }
    if (page.more) return;
  }
}

data::ListPage FileStorage::list(std::string_view prefix, std::string_view after,
                                 std::size_t limit) {
  data::ListPage page;
  if (root_exists()) collect(root_, "", prefix, after, limit, page);
  return page;
}

void FileStorage::remove(std::span<const std::string> names) {
  for (const auto& name : names)
    check_name_kind(name, false);
  if (!root_exists()) return;
  for (const auto& name : names) {
    const fs::path path = path_of(name);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR)
      throw explain(system_error(errno, "remove", path.native()), name);
  }
}

void FileStorage::write_listing(const std::string& ref, std::optional<std::uint64_t> ref_size) {
  data::ListPage page;
  collect(root_, "", "", "", std::numeric_limits<std::size_t>::max(), page);
  std::erase_if(page.objects,
                [&](const auto& o) { return o.name == ref || o.name == listing_name; });
  if (ref_size)
    page.objects.insert(std::ranges::lower_bound(page.objects, ref, {}, &data::ListedObject::name),
                        {ref, *ref_size});
  const std::string text = format_listing(page.objects);
  const fs::path path = root_ / listing_name;
  if (read_file_if_exists(path, max_listing_bytes) == text) return;
  AtomicFile file(root_ / ".tmp" / "listing", 0644);
  file.file().write(text);
  if (::rename(file.temporary_path().c_str(), path.c_str()) != 0)
    throw system_error(errno, "write", path.native());
}

std::optional<std::string> FileStorage::read_ref(std::string_view name) {
  check_name_kind(name, true);
  if (!root_exists()) return std::nullopt;
  return read_file_if_exists(path_of(name), data::max_ref_bytes);
}

data::SwapResult FileStorage::compare_and_swap(std::string_view name,
                                               const std::optional<std::string>& expected,
                                               const std::optional<std::string>& desired) {
  check_name_kind(name, true);
  if (desired && desired->size() > data::max_ref_bytes)
    throw Error(ErrorKind::failed, fmt::format("ref '{}' is larger than 64 KiB", name));
  prepare_root();
  const FileLock lock(root_ / ".locks" / "refs", fmt::format("the remote '{}'", location_),
                      std::chrono::seconds(30));
  const fs::path path = path_of(name);
  std::optional<std::string> current = read_file_if_exists(path, data::max_ref_bytes);
  if (current != expected) return {false, std::move(current)};
  write_listing(std::string(name), desired ? std::optional(desired->size()) : std::nullopt);
  if (desired) {
    make_parents(root_, fs::path(name));
    // The temporary name is not in the ref's folder, where a list would see it.
    AtomicFile file(root_ / ".tmp" / "ref", 0644);
    file.file().write(*desired);
    file.file().sync();
    if (::rename(file.temporary_path().c_str(), path.c_str()) != 0)
      throw explain(system_error(errno, "write", path.native()), name);
  } else if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw explain(system_error(errno, "remove", path.native()), name);
  }
  sync_directory(path.parent_path());
  return {true, desired};
}

std::size_t FileStorage::remove_abandoned_writes() {
  if (!root_exists()) return 0;
  std::size_t removed = 0;
  std::error_code code;
  for (fs::directory_iterator it(root_ / ".tmp", code), end; !code && it != end;
       it.increment(code)) {
    const int fd = ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    const File file(fd);
    // Refs in the making are not locked, but live for milliseconds: an hour is another age.
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const std::string temporary = it->path().filename().native();
    const bool is_ref = temporary.starts_with(".ref.") || temporary.starts_with(".listing.");
    if (is_ref && ::time(nullptr) - info.st_mtime < 3600) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) continue;
    if (::unlink(it->path().c_str()) == 0) ++removed;
  }
  return removed;
}

} // namespace

std::unique_ptr<data::Storage> open_file_storage(const net::Url& url, const fs::path& base) {
  const std::string location = net::redacted(url);
  const auto refuse = [&](std::string_view reason) {
    return Error(ErrorKind::config, fmt::format("bad remote '{}': {}", location, reason))
        .with_hint("write file:///absolute/folder, or file:folder for one in the project");
  };
  if (!url.host.empty() && url.host != "localhost")
    throw refuse(fmt::format("a file: URL cannot name the host '{}'", url.host));
  if (!url.user.empty() || !url.password.empty() || url.port || !url.fragment.empty())
    throw refuse("a file: URL has a path, and at most link=no");
  if (!url.query.empty() && url.query != "link=no" && url.query != "link=yes")
    throw refuse(fmt::format("it knows no parameter '{}', only link=no", url.query));
  if (url.path.empty()) throw refuse("it names no folder");
  fs::path root = url.path;
  if (root.is_relative()) root = base / root;
  root = fs::absolute(root).lexically_normal();
  if (!root.has_filename()) root = root.parent_path(); // "a/b/" is the folder "a/b"
  if (root == root.root_path()) throw refuse("it is the root of the file system");
  return std::make_unique<FileStorage>(std::move(root), location, url.query != "link=no");
}

} // namespace mlp::storage
