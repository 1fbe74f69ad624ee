// Takes secrets out of text that comes in parts. Every byte that belongs to an occurrence of a
// secret, however occurrences overlap or touch, is covered; each stretch of covered bytes becomes
// one `***`. How the text was cut into parts makes no difference.
//
// Each secret is followed by its own Knuth-Morris-Pratt automaton (SIAM J. Comput. 6, 1977), whose
// memory is four bytes a byte of the secret.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::secret {

// Shorter values are not masked: they occur by chance.
constexpr std::size_t least_masked_bytes = 4;

// The automata of some secrets; several Maskers may share one, from several threads.
class MaskedValues {
 public:
  // Values shorter than least_masked_bytes, and those that are there twice, are left out.
  explicit MaskedValues(std::span<const std::string> values);

  [[nodiscard]] bool empty() const noexcept { return patterns_.empty(); }

  // A whole text, masked.
  [[nodiscard]] std::string mask(std::string_view text) const;
  [[nodiscard]] bool occurs_in(std::string_view text) const;

 private:
  friend class Masker;
  struct Pattern {
    std::string text;
    std::vector<std::uint32_t> fallback; // of n matched bytes: the next shorter match
    // The match after one more byte.
    [[nodiscard]] std::uint32_t next(std::uint32_t matched, char byte) const noexcept;
  };
  std::vector<Pattern> patterns_;
  bool begins_[256] = {}; // some pattern begins with this byte
};

// One text in parts. Holds back what may still become an occurrence, and no more: less than the
// longest secret. Not thread-safe. `values` must outlive it.
class Masker {
 public:
  explicit Masker(const MaskedValues& values);

  // Appends to `out` what is decided.
  void write(std::string_view part, std::string& out);
  // The text has ended: appends the rest. The masker is then as new.
  void finish(std::string& out);

 private:
  struct Stretch {
    std::uint64_t begin, end; // offsets in the text
  };
  void cover(std::uint64_t begin, std::uint64_t end);
  void decide(std::uint64_t until, std::string& out);

  const MaskedValues& values_;
  std::vector<std::uint32_t> matched_; // of each pattern
  bool idle_ = true;                   // all of them are 0
  std::string held_;                   // not decided yet
  std::uint64_t begin_ = 0;            // offset of held_ in the text
  std::deque<Stretch> covered_;        // in held_; apart from each other, in order
  bool last_covered_ = false;          // the last decided byte
};

} // namespace mlp::secret
