// A file that arrives in pieces, perhaps over several runs: the bytes so far in `<target>.part`,
// and in `<target>.part.etag` which version of the source they are of.
#pragma once

#include "core/base/digest.hpp"
#include "core/base/fs.hpp"

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>

namespace mlp::net {

// Not thread-safe. Every method blocks on disk and throws Error that names the file.
class PartFile {
 public:
  // Opens what an earlier run has left, or an empty one. Throws Error(conflict) while another
  // PartFile of the target lives, in any process.
  explicit PartFile(const fs::path& target);

  // Of the bytes so far.
  [[nodiscard]] const fs::path& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] const std::string& etag() const noexcept { return etag_; }

  // Begins anew with a version of this ETag; empty: it has none that can be relied on.
  void restart(const std::string& etag);
  void append(std::span<const std::byte> data);
  // Of what is there. Throws Error(interrupted) if stopped.
  [[nodiscard]] Digest hash(const std::stop_token& stop) const;
  // Synced, and renamed to the target, which it replaces.
  void become(const fs::path& target);
  void remove();

 private:
  fs::path path_, etag_path_;
  File file_;
  std::uint64_t size_ = 0;
  std::string etag_;
};

} // namespace mlp::net
