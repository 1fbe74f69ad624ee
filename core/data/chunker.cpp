// A gear hash rolls over the bytes: h = 2h + gear[byte]. Its highest n bits are zero once in 2^n
// bytes, and depend on the last 64 bytes. Two masks, 2 bits stricter before the target and 2 bits
// laxer after it, draw the lengths towards the target.
#include "core/data/chunker.hpp"

#include <algorithm>
#include <array>

namespace mlp::data {

namespace {

// The first 256 outputs of SplitMix64 from state 0. Source: G. Steele, D. Lea, C. Flood, "Fast
// Splittable Pseudorandom Number Generators", OOPSLA 2014.
constexpr std::array<std::uint64_t, 256> make_gear() {
  std::array<std::uint64_t, 256> gear{};
  std::uint64_t state = 0;
  for (auto& value : gear) {
    state += 0x9e3779b97f4a7c15;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    value = z ^ (z >> 31);
  }
  return gear;
}
constexpr auto gear = make_gear();
static_assert(gear[0] == 0xe220a8397b1dcdaf); // the published first output of seed 0

constexpr int target_bits = 16;
constexpr int level = 2;
constexpr std::uint64_t strict_limit = std::uint64_t{1} << (64 - (target_bits + level));
constexpr std::uint64_t lax_limit = std::uint64_t{1} << (64 - (target_bits - level));

} // namespace

std::size_t cut_point(ByteSpan data) noexcept {
  const std::size_t size = std::min(data.size(), max_chunk);
  if (size <= min_chunk) return size;
  const std::size_t middle = std::min(size, target_chunk);
  const std::byte* bytes = data.data();
  std::uint64_t hash = 0;
  std::size_t i = min_chunk;
  for (; i < middle; ++i) {
    hash = (hash << 1) + gear[static_cast<std::uint8_t>(bytes[i])];
    if (hash < strict_limit) return i + 1;
  }
  for (; i < size; ++i) {
    hash = (hash << 1) + gear[static_cast<std::uint8_t>(bytes[i])];
    if (hash < lax_limit) return i + 1;
  }
  return size;
}

} // namespace mlp::data
