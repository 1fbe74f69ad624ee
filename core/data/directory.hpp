// Folders by descriptor, so that no symbolic link, put there at whatever moment, leads a walk or a
// write out of a dataset's root.
#pragma once

#include "core/base/fs.hpp"

#include <sys/stat.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::data {

struct DirectoryItem {
  std::string name;
  struct stat info {};
};

// An open folder and its path, which is for messages only. Thread-safe: it does not change.
class Directory {
 public:
  // Follows symbolic links: for a root, which its owner chose. Throws Error.
  [[nodiscard]] static std::shared_ptr<const Directory> open(const fs::path& path);
  // Does not. Throws Error; ELOOP and ENOTDIR are conflict.
  [[nodiscard]] std::shared_ptr<const Directory> open_child(const std::string& name) const;

  [[nodiscard]] int fd() const noexcept { return file_.fd(); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string path_of(std::string_view name) const;

  // All but "." and "..", and the temporary files of checkouts, in byte order. The names of the
  // latter are added to `temporaries`, if it is given.
  [[nodiscard]] std::vector<DirectoryItem>
  list(std::vector<std::string>* temporaries = nullptr) const;
  [[nodiscard]] std::string read_link(const std::string& name) const;
  // A regular file, opened without following a link and without waiting on a FIFO.
  [[nodiscard]] File open_file(const std::string& name) const;

 private:
  Directory(File file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  File file_;
  std::string path_;
};

// What checkout calls a file until it is whole: ".mlp-tmp-" and 16 characters.
[[nodiscard]] std::string temporary_name();
[[nodiscard]] bool is_temporary_name(std::string_view name);

} // namespace mlp::data
