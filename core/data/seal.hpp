// Files that nobody is to change: read-only, and with a mark in the nanoseconds of their
// modification time that follows from their name. A file that was written to since has lost it. The
// mark tells nothing of a disk that loses bits, nor of a copy that was given the old one's times:
// digests do, wherever content is read.
#pragma once

#include "core/base/fs.hpp"

#include <string_view>

namespace mlp::data {

// Sets the mark, of a file without bits for writing; `hex` are hexadecimal digits, seven or more.
// False, with errno, where the file system does not let it.
[[nodiscard]] bool seal(const File& file, std::string_view hex) noexcept;
// A regular, read-only file with the mark of that name.
[[nodiscard]] bool is_sealed(const File& file, std::string_view hex) noexcept;
// It belongs to this process's user, so that no other could set the mark.
[[nodiscard]] bool is_own(const File& file) noexcept;

} // namespace mlp::data
