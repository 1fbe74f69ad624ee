// What the tests of core/data share: bytes that look random but are always the same, and small
// trees of files.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/bytes.hpp"

#include <sys/stat.h>

#include <map>
#include <string>

namespace mlp::test {

// xorshift64*; the same bytes for the same seed on every machine.
inline data::Bytes noise(std::size_t size, std::uint64_t seed) {
  data::Bytes bytes(size);
  std::uint64_t x = seed * 0x9e3779b97f4a7c15 + 1;
  for (auto& b : bytes) {
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    b = static_cast<std::byte>((x * 0x2545f4914f6cdd1d) >> 56);
  }
  return bytes;
}

inline std::string noise_text(std::size_t size, std::uint64_t seed) {
  return std::string(data::text_of(noise(size, seed)));
}

inline void write(const fs::path& path, std::string_view content, unsigned mode = 0644) {
  fs::create_directories(path.parent_path());
  File file = File::create(path, mode);
  file.write(content);
  ::fchmod(file.fd(), mode);
}

// Every path below `root` with what is at it: "x:" and bytes for an executable, "-:" for a file,
// "l:" for a link, "d" for a folder.
inline std::map<std::string, std::string> tree(const fs::path& root) {
  std::map<std::string, std::string> all;
  for (const auto& item : fs::recursive_directory_iterator(root)) {
    const std::string path = item.path().lexically_relative(root).native();
    if (item.is_symlink()) {
      all[path] = "l:" + fs::read_symlink(item.path()).native();
    } else if (item.is_directory()) {
      all[path] = "d";
    } else {
      const bool executable =
          (item.status().permissions() & fs::perms::owner_exec) != fs::perms::none;
      all[path] = (executable ? "x:" : "-:") + read_file(item.path());
    }
  }
  return all;
}

} // namespace mlp::test
