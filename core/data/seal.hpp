// Files that nobody is to change: read-only, and with a mark in the nanoseconds of their
// modification time that follows from their name. A file that was written to since has lost it, so
// what was checked once need not be read again.
#pragma once

#include "core/base/fs.hpp"

#include <string_view>

namespace mlp::data {

// `hex` are hexadecimal digits, seven or more. `mode` has no bits for writing. Throws Error.
void seal(const File& file, std::string_view hex, unsigned mode);
// A regular file with the mark of that name. Never throws.
[[nodiscard]] bool is_sealed(const File& file, std::string_view hex) noexcept;

} // namespace mlp::data
