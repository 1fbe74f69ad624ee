// OpenSSL's low-level function: no provider to fetch, and none that could forbid it.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/net/md5.hpp"

#include <fmt/format.h>
#include <openssl/md5.h>

namespace mlp::net {

std::string Md5::hex() const {
  std::string text;
  for (const std::uint8_t byte : bytes)
    text += fmt::format("{:02x}", byte);
  return text;
}

std::string Md5::base64() const {
  static constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  std::uint32_t bits = 0;
  int count = 0;
  for (const std::uint8_t byte : bytes) {
    bits = bits << 8 | byte;
    for (count += 8; count >= 6; count -= 6)
      text += digits[bits >> (count - 6) & 63];
  }
  if (count > 0) text += digits[bits << (6 - count) & 63];
  while (text.size() % 4 != 0)
    text += '=';
  return text;
}

Md5 md5(std::string_view text) {
  Md5 digest;
  MD5(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.bytes.data());
  return digest;
}

} // namespace mlp::net
