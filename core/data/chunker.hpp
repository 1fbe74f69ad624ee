// Content-defined chunking: where a file is cut depends on the bytes near the cut only, so that an
// edit changes the chunks around it and no others.
//
// Source: FastCDC with normalised chunking, level 2: W. Xia et al., "FastCDC: a Fast and Efficient
// Content-Defined Chunking Approach for Data Deduplication", USENIX ATC 2016. The exact rule, which
// may never change, is in docs/formats.md.
#pragma once

#include "core/data/bytes.hpp"

#include <cstddef>

namespace mlp::data {

inline constexpr std::size_t min_chunk = 16 * 1024;
inline constexpr std::size_t target_chunk = 64 * 1024;
inline constexpr std::size_t max_chunk = 256 * 1024;

// The length of the first chunk of `data`, which must hold at least max_chunk bytes, or all that is
// left of the file. 0 only for empty data. Pure; thread-safe.
[[nodiscard]] std::size_t cut_point(ByteSpan data) noexcept;

} // namespace mlp::data
