// Bytes of a data file, plain or gzip (told by its first bytes, not its name), read in pieces.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace mlp::train {

// Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Reads up to data.size() bytes; 0 at the end and only there. Blocks. Throws Error: failed for
  // the system's errors, integrity for a gzip stream that is damaged or ends early.
  virtual std::size_t read(std::span<char> data) = 0;
  // What errors call it, e.g. "data/train.csv".
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
};

// Throws Error(not_found, denied, failed) if `path` is no readable regular file. `name` is what
// errors call it; empty: the path.
[[nodiscard]] std::unique_ptr<ByteSource> open_source(const std::filesystem::path& path,
                                                      std::string name = {});
// Bytes in memory, gzip or plain; `data` must outlive the source.
[[nodiscard]] std::unique_ptr<ByteSource> memory_source(std::span<const char> data,
                                                        std::string name);
// What comes through an open descriptor, such as a pipe; the descriptor is then the source's.
[[nodiscard]] std::unique_ptr<ByteSource> descriptor_source(int descriptor, std::string name);
// The bytes of `raw`, unpacked if they are gzip.
[[nodiscard]] std::unique_ptr<ByteSource> unpacked_source(std::unique_ptr<ByteSource> raw);
// Reads up to `size` bytes into `head`; the source that is returned begins with them again.
[[nodiscard]] std::unique_ptr<ByteSource> peek_source(std::unique_ptr<ByteSource> source,
                                                      std::size_t size, std::string& head);

} // namespace mlp::train
