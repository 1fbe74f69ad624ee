// SHA-256, the digest that names every object. Source: FIPS 180-4; computed by OpenSSL, which uses
// the CPU's SHA instructions.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mlp {

struct Digest {
  std::array<std::uint8_t, 32> bytes{};

  [[nodiscard]] std::string hex() const;       // 64 lower-case characters
  [[nodiscard]] std::string text() const;      // "sha256:" + hex(), as files and output show it
  [[nodiscard]] std::string short_hex() const; // the first 12 characters, for people
  auto operator<=>(const Digest&) const = default;
};

// Accepts 64 hexadecimal characters, with or without "sha256:". nullopt for anything else.
[[nodiscard]] std::optional<Digest> parse_digest(std::string_view text);

// A running digest. Not thread-safe; movable.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> data);
  void update(std::string_view text);
  // The digest of all bytes so far; the object is then as new.
  [[nodiscard]] Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] Digest sha256(std::span<const std::byte> data);
// The digests of several messages, in their order. Where the CPU has SHA instructions it takes two
// messages at a time, which is nearly twice as fast as one after the other.
void sha256_each(std::span<const std::span<const std::byte>> messages, std::span<Digest> digests);
[[nodiscard]] Digest sha256(std::string_view text);

} // namespace mlp

template <>
struct std::hash<mlp::Digest> {
  std::size_t operator()(const mlp::Digest& d) const noexcept {
    std::size_t value = 0; // the bytes are already uniformly distributed
    for (std::size_t i = 0; i < sizeof value; ++i)
      value = (value << 8) | d.bytes[i];
    return value;
  }
};
