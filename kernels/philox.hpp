// Philox4x32-10, a counter-based random generator: word(counter, key) is a pure function, so that
// any device computes any part of a sequence alone and a resumed training goes on with the same
// numbers. Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
#pragma once

#include <array>
#include <cstdint>

namespace mlp::kernels {

using PhiloxBlock = std::array<std::uint32_t, 4>;

constexpr PhiloxBlock philox(PhiloxBlock counter, std::uint64_t key) noexcept {
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return counter;
}

// A stream of numbers for host code: seed and purpose choose the sequence. Its own arithmetic
// throughout, because the standard library's distributions differ between implementations.
class PhiloxSequence {
 public:
  constexpr PhiloxSequence(std::uint64_t seed, std::uint64_t purpose) noexcept
      : key_(seed), purpose_(purpose) {}

  constexpr std::uint32_t next() noexcept {
    if (used_ == 4) {
      block_ =
          philox({static_cast<std::uint32_t>(index_), static_cast<std::uint32_t>(index_ >> 32),
                  static_cast<std::uint32_t>(purpose_), static_cast<std::uint32_t>(purpose_ >> 32)},
                 key_);
      ++index_;
      used_ = 0;
    }
    return block_[used_++];
  }
  // Uniform in [0, 1), 24 bits.
  constexpr float uniform() noexcept { return static_cast<float>(next() >> 8) * 0x1p-24F; }
  // Uniform in [0, bound), without bias (Lemire 2019); bound > 0.
  constexpr std::uint32_t below(std::uint32_t bound) noexcept {
    std::uint64_t product = std::uint64_t{next()} * bound;
    if (static_cast<std::uint32_t>(product) < bound) {
      const std::uint32_t threshold = (0U - bound) % bound;
      while (static_cast<std::uint32_t>(product) < threshold)
        product = std::uint64_t{next()} * bound;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

 private:
  std::uint64_t key_, purpose_, index_ = 0;
  PhiloxBlock block_{};
  std::size_t used_ = 4;
};

} // namespace mlp::kernels
