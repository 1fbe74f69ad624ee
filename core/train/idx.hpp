// IDX files, the format of MNIST and Fashion-MNIST: a type, dimensions, then the elements. Source:
// Y. LeCun, "The MNIST database", section "the IDX file format".
#pragma once

#include "core/train/byte_source.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mlp::train {

// Unsigned bytes, row-major. shape[0] counts the items.
struct IdxFile {
  std::string source;
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> data;
};

// Reads a whole file, gzip or not. Memory: the elements, and no more than the file really holds
// whatever its header says. Throws Error: config for a file that is not IDX, holds another type
// than unsigned bytes, has no or more than 8 dimensions or more than 2^36 elements, or more bytes
// than its header says; integrity for one that ends early (with expected and found bytes).
[[nodiscard]] IdxFile read_idx(std::unique_ptr<ByteSource> source);
[[nodiscard]] IdxFile read_idx(const std::filesystem::path& path);

} // namespace mlp::train
