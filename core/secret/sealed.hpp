// A secret as it lies on the disk: encrypted and authenticated with AES-256-GCM (NIST SP 800-38D)
// under a fresh random nonce. The name and the header are associated data, so that a value cannot
// be put in another one's place. docs/formats.md has the layout. Pure functions of bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mlp::secret {

constexpr std::size_t max_value_bytes = 64u << 10;
constexpr std::size_t max_sealed_bytes = max_value_bytes + 44;

// 32 bytes, wiped from memory at the end.
class Key {
 public:
  using Bytes = std::array<std::uint8_t, 32>;
  explicit Key(const Bytes& bytes) noexcept : bytes_(bytes) {}
  ~Key();
  Key(const Key&) = default;
  Key& operator=(const Key&) = default;

  [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }
  // Tells keys apart and says nothing about them: the first 8 bytes of a SHA-256 over the key.
  [[nodiscard]] std::array<std::uint8_t, 8> id() const;

 private:
  Bytes bytes_;
};

// Fills `bytes` from the kernel's random source. Throws Error if there is none.
void fill_random(std::span<std::uint8_t> bytes);

// The file of a value of 1 to max_value_bytes bytes. Throws Error(failed) if OpenSSL fails.
[[nodiscard]] std::string seal(const Key& key, std::string_view name, std::string_view value);

// The value in such a file. Throws Error(integrity), whose hint says what to do: a file that is
// damaged, of another name, of another key, or of a newer version.
[[nodiscard]] std::string unseal(const Key& key, std::string_view name, std::string_view file);

} // namespace mlp::secret
