// Files as the project needs them: whole reads with a limit, writes that are atomic and durable,
// locks that end with their holder, paths from outside that cannot escape.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

namespace mlp {

namespace fs = std::filesystem;

// An open file descriptor. Movable; closes itself. Its errors name the path it was opened by, or
// the `name` it was given ("standard input").
class File {
 public:
  File() = default;
  explicit File(int fd, std::string name = {}) noexcept : fd_(fd), name_(std::move(name)) {}
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;

  // Throw Error (system_error kinds) that names the path. All open with O_CLOEXEC.
  [[nodiscard]] static File open_read(const fs::path& path);
  [[nodiscard]] static File open_append(const fs::path& path, unsigned mode = 0644);
  [[nodiscard]] static File create(const fs::path& path, unsigned mode = 0644); // truncates

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  // As errors show it: the path or name, else "descriptor 5".
  [[nodiscard]] std::string name() const;
  int release() noexcept;
  void close() noexcept;

  // Reads up to data.size() bytes; 0 at the end of the file. Retries EINTR. Throws Error.
  std::size_t read(std::span<std::byte> data);
  // The same at an offset; does not move the position. Thread-safe.
  std::size_t read_at(std::span<std::byte> data, std::uint64_t offset) const;
  // Writes all of it, or throws Error.
  void write(std::span<const std::byte> data);
  void write(std::string_view text);
  // All parts, one behind the other from the offset on; does not move the position. Thread-safe.
  void write_at(std::span<const std::span<const std::byte>> parts, std::uint64_t offset) const;
  void sync(); // fdatasync
  [[nodiscard]] std::uint64_t size() const;

 private:
  int fd_ = -1;
  std::string name_;
};

// The whole file. Throws Error: not_found, denied, or failed if it is larger than `max_bytes` or
// not a regular file. Does not block on a pipe that nobody writes to.
[[nodiscard]] std::string read_file(const fs::path& path, std::uint64_t max_bytes = 64u << 20);
// nullopt if there is no such file.
[[nodiscard]] std::optional<std::string> read_file_if_exists(const fs::path& path,
                                                             std::uint64_t max_bytes = 64u << 20);

// Writes to a temporary name in the same folder, syncs, renames, syncs the folder: after a crash
// the old content or the new is there, never a part. Creates no folders. A symlink at `path` is
// itself replaced.
void write_file_atomic(const fs::path& path, std::string_view content,
                       std::optional<unsigned> mode = std::nullopt);

// A file being written that becomes visible only by commit(). Destruction without commit removes
// it. Errors name the target. The file gets exactly `mode`; without one, 0666 less the umask.
class AtomicFile {
 public:
  explicit AtomicFile(const fs::path& target, std::optional<unsigned> mode = std::nullopt);
  ~AtomicFile();
  AtomicFile(AtomicFile&&) = delete;

  [[nodiscard]] File& file() noexcept { return file_; }
  [[nodiscard]] const fs::path& temporary_path() const noexcept { return temporary_; }
  void commit(); // sync, rename, sync the folder
  // The same under another name than was foreseen, on the same file system.
  void commit_as(const fs::path& target);

 private:
  fs::path target_;
  fs::path temporary_;
  File file_;
  bool committed_ = false;
};

// mkdir -p; throws Error naming the path.
void make_directories(const fs::path& path);
// Makes a rename or creation in `directory` durable. Ignores file systems that cannot.
void sync_directory(const fs::path& directory);
// Gives a file a second place without writing its bytes again: its blocks are shared where the file
// system can clone (reflink), else the new name is a hard link to it. Durable and all at once, in
// place of what `target` was. False where neither can be done: another file system, no right to
// link the file, too many links, or readers of the target's folder could not read it, since a hard
// link keeps owner, group and mode. Throws Error for a target that cannot be written.
[[nodiscard]] bool link_file(const fs::path& source, const fs::path& target);
// Removes a file or tree. True if something was there. Never follows symlinks.
bool remove_all(const fs::path& path);

// An advisory lock (flock) on a file, which is created if need be. Ends with the process.
class FileLock {
 public:
  // Waits up to `timeout` (0: not at all) for the lock, then throws Error(conflict) saying that
  // another mlp holds `what`. Two locks on one path exclude each other in one process too.
  // A shared one excludes only those that are not. A stop of `stop` is Error(interrupted).
  FileLock(const fs::path& path, std::string_view what, std::chrono::milliseconds timeout,
           bool shared = false, const std::stop_token& stop = {});
  // nullopt if someone else holds it now.
  [[nodiscard]] static std::optional<FileLock> try_lock(const fs::path& path);

 private:
  explicit FileLock(File file) noexcept : file_(std::move(file)) {}
  File file_;
};

// Why `path` (as it stands in a manifest or archive) may not be used below a root, or nullopt if it
// is safe: relative, no empty, "." or ".." component, no NUL, no backslash, at most 4096 bytes.
[[nodiscard]] std::optional<std::string> unsafe_path_reason(std::string_view path);

// A new folder under `parent` (default: the system's temporary folder), removed with its content on
// destruction.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(std::string_view prefix = "mlp-", const fs::path& parent = {});
  ~TemporaryDirectory();
  TemporaryDirectory(TemporaryDirectory&&) = delete;
  [[nodiscard]] const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

} // namespace mlp
