// Random numbers that depend on a seed and a trial's number alone, so that a sweep that goes on
// after a crash draws what it would have drawn. Source: SplitMix64, G. L. Steele, D. Lea and C. H.
// Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace mlp::sweep {

// Not thread-safe. The same (seed, stream) gives the same numbers on every machine, up to the last
// bits of its logarithm and cosine.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream) noexcept : state_(seed) {
    state_ = next() ^ (stream * 0xd1342543de82ef95u);
    (void)next();
  }

  // All of 64 bits.
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // In [0, 1).
  double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  // In [0, count); count > 0.
  std::size_t below(std::size_t count) noexcept {
    const auto index = static_cast<std::size_t>(uniform() * static_cast<double>(count));
    return index < count ? index : count - 1;
  }
  // Mean 0, standard deviation 1 (Box and Muller).
  double normal() noexcept {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t state_;
};

} // namespace mlp::sweep
