// Walks below the folder by openat(2) with O_NOFOLLOW, a component at a time.
#include "core/serve/mlflow_artifacts.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/serve/mlflow_request.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace mlp::serve {

namespace {

constexpr std::size_t max_listed = 10'000;

// The components of a path that may be; none for the root.
std::vector<std::string> components(std::string_view path) {
  while (path.ends_with('/'))
    path.remove_suffix(1);
  if (path.empty() || path == ".") return {};
  if (const auto reason = unsafe_path_reason(path))
    throw invalid_parameter(fmt::format("Invalid path: '{}' {}", printable(path), *reason));
  return split(std::string(path), '/');
}

File open_at(const File& folder, const std::string& name, int flags) {
  return File(::openat(folder.fd(), name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0644));
}

// The folder that holds the last of `names`; not open if it is not there. With `create`, made.
File open_parent(const fs::path& root, const std::vector<std::string>& names, bool create) {
  File folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (std::size_t i = 0; i + 1 < names.size() && folder.is_open(); ++i) {
    if (create) ::mkdirat(folder.fd(), names[i].c_str(), 0755);
    folder = open_at(folder, names[i], O_RDONLY | O_DIRECTORY);
  }
  return folder;
}

Json file_info(const std::string& path, const struct stat& info) {
  Json out = json_object({{"path", path}, {"is_dir", S_ISDIR(info.st_mode)}});
  if (S_ISREG(info.st_mode)) out["file_size"] = static_cast<std::int64_t>(info.st_size);
  return out;
}

// Entries that are files or folders, sorted.
Json list_folder(File folder, const std::string& prefix) {
  struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(folder.fd()));
  if (!directory) throw system_error(errno, "read", "outs");
  const int fd = folder.release(); // the directory closes it
  std::vector<std::pair<std::string, struct stat>> found;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = static_cast<const char*>(entry->d_name);
    struct stat info {};
    if (name == "." || name == ".." || !is_valid_utf8(name) ||
        ::fstatat(fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
      continue;
    found.emplace_back(name, info);
    if (found.size() == max_listed) break;
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  Json files = json_array();
  for (const auto& [name, info] : found)
    files.push_back(file_info(prefix + name, info));
  return files;
}

[[noreturn]] void throw_failed(int error, std::string_view path) {
  if (error == ENOENT || error == ENOTDIR)
    throw does_not_exist(fmt::format("No such artifact: '{}'", printable(path)));
  if (error == ELOOP || error == EISDIR)
    throw invalid_parameter(fmt::format("Invalid path: '{}' is no file", printable(path)));
  throw system_error(error, "open", printable(path));
}

} // namespace

Json list_artifacts(const fs::path& root, std::string_view path, bool relative) {
  const std::vector<std::string> names = components(path);
  File folder = open_parent(root, names, false);
  if (!folder.is_open()) return json_array();
  if (names.empty()) return list_folder(std::move(folder), "");
  const std::string prefix = relative ? "" : join(names, "/") + "/";
  struct stat info {};
  if (::fstatat(folder.fd(), names.back().c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return json_array();
  // MLflow lists a file as nothing: its clients then take it as one file.
  if (!S_ISDIR(info.st_mode)) return json_array();
  File inner = open_at(folder, names.back(), O_RDONLY | O_DIRECTORY);
  if (!inner.is_open()) return json_array();
  return list_folder(std::move(inner), prefix);
}

HttpResponse read_artifact(const fs::path& root, std::string_view path) {
  const std::vector<std::string> names = components(path);
  if (names.empty()) throw invalid_parameter("Invalid path: it names no file");
  const File folder = open_parent(root, names, false);
  File file = folder.is_open() ? open_at(folder, names.back(), O_RDONLY | O_NONBLOCK) : File();
  if (!file.is_open()) throw_failed(errno, path);
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode)) throw_failed(EISDIR, path);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_artifact_body)
    throw invalid_parameter(fmt::format("'{}' is larger than {}: read it from the run's folder",
                                        printable(path), format_bytes(max_artifact_body)));
  HttpResponse response;
  response.content_type = "application/octet-stream";
  response.body.resize(static_cast<std::size_t>(size));
  std::size_t got = 0;
  while (got < response.body.size()) {
    const std::size_t n = file.read(
        std::as_writable_bytes(std::span(response.body.data() + got, response.body.size() - got)));
    if (n == 0) break;
    got += n;
  }
  response.body.resize(got);
  return response;
}

void write_artifact(const fs::path& root, std::string_view path, std::string_view content) {
  const std::vector<std::string> names = components(path);
  if (names.empty()) throw invalid_parameter("Invalid path: it names no file");
  const File folder = open_parent(root, names, true);
  File file = folder.is_open()
                  ? open_at(folder, names.back(), O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK)
                  : File();
  if (!file.is_open()) throw_failed(errno, path);
  file.write(content);
}

void remove_artifact(const fs::path& root, std::string_view path) {
  const std::vector<std::string> names = components(path);
  if (names.empty()) throw invalid_parameter("Invalid path: it names no file");
  const File folder = open_parent(root, names, false);
  if (!folder.is_open() || ::unlinkat(folder.fd(), names.back().c_str(), 0) != 0)
    throw_failed(errno, path);
}

} // namespace mlp::serve
