// A part of a body by Range (RFC 9110, section 14), from servers that know it and from those that
// send the whole body instead.
#pragma once

#include "core/net/http.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace mlp::net {

// One reading of a range. Not thread-safe.
class RangeReader {
 public:
  // Fills `into` (not empty) from `offset` on; offset + size must be below 2^63.
  RangeReader(std::uint64_t offset, std::span<std::byte> into) : offset_(offset), into_(into) {}

  // The value of the Range header.
  [[nodiscard]] std::string header() const;
  // For HttpRequest::sink; restart() goes before each attempt.
  bool take(const HttpResponse& head, std::span<const std::byte> data);
  void restart() noexcept { seen_ = done_ = 0; }

  // The number of bytes that were read: fewer than asked for only where the body ends. An answer of
  // 416 is 0 bytes. Throws Error(failed) if what came is not what was asked for.
  [[nodiscard]] std::size_t finish(const HttpResponse& response) const;

 private:
  std::uint64_t offset_;
  std::span<std::byte> into_;
  std::uint64_t seen_ = 0; // bytes of the answer
  std::size_t done_ = 0;   // bytes of `into`
};

} // namespace mlp::net
