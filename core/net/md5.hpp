// MD5, only where a protocol asks for it (Content-MD5, ETags); it protects against nothing but
// accidents. Source: RFC 1321; computed by OpenSSL.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace mlp::net {

struct Md5 {
  std::array<std::uint8_t, 16> bytes{};

  [[nodiscard]] std::string hex() const;
  [[nodiscard]] std::string base64() const; // RFC 4648, with padding
};

[[nodiscard]] Md5 md5(std::string_view text);

} // namespace mlp::net
