// SipHash-2-4, a keyed hash of 64 bits: proves that both ends of a connection know one secret.
// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mlp::kernels {

using SipKey = std::array<std::uint64_t, 2>;

class SipState {
 public:
  constexpr explicit SipState(const SipKey& key) noexcept
      : v_{key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL,
           key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL} {}

  constexpr void word(std::uint64_t m) noexcept {
    v_[3] ^= m;
    round();
    round();
    v_[0] ^= m;
  }
  constexpr std::uint64_t finish() noexcept {
    v_[2] ^= 0xff;
    for (int i = 0; i < 4; ++i)
      round();
    return v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  }

 private:
  constexpr void round() noexcept {
    v_[0] += v_[1];
    v_[1] = std::rotl(v_[1], 13) ^ v_[0];
    v_[0] = std::rotl(v_[0], 32);
    v_[2] += v_[3];
    v_[3] = std::rotl(v_[3], 16) ^ v_[2];
    v_[0] += v_[3];
    v_[3] = std::rotl(v_[3], 21) ^ v_[0];
    v_[2] += v_[1];
    v_[1] = std::rotl(v_[1], 17) ^ v_[2];
    v_[2] = std::rotl(v_[2], 32);
  }
  std::array<std::uint64_t, 4> v_;
};

constexpr std::uint64_t siphash(const SipKey& key, std::span<const std::uint8_t> data) noexcept {
  SipState state(key);
  const std::size_t whole = data.size() / 8;
  const auto word = [&](std::size_t at, std::size_t count) {
    std::uint64_t m = 0;
    for (std::size_t i = 0; i < count; ++i)
      m |= std::uint64_t{data[at + i]} << (8 * i);
    return m;
  };
  for (std::size_t i = 0; i < whole; ++i)
    state.word(word(8 * i, 8));
  state.word(word(8 * whole, data.size() % 8) | std::uint64_t{data.size()} << 56);
  return state.finish();
}

// 128 bits of key from a secret text of any length.
inline SipKey sip_key(std::string_view secret) noexcept {
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(secret.data()),
                                            secret.size());
  return {siphash({0x6d6c702072616e6bULL, 1}, bytes), siphash({0x6d6c702072616e6bULL, 2}, bytes)};
}

} // namespace mlp::kernels
