// Stretches are found as matches end, and written once no match can reach back to them.
#include "core/secret/masker.hpp"

#include <algorithm>

namespace mlp::secret {

namespace {

constexpr std::string_view mask_text = "***";

unsigned index_of(char byte) {
  return static_cast<unsigned char>(byte);
}

} // namespace

MaskedValues::MaskedValues(std::span<const std::string> values) {
  for (const std::string& value : values) {
    const auto known = [&](const Pattern& pattern) { return pattern.text == value; };
    if (value.size() < least_masked_bytes || std::ranges::any_of(patterns_, known)) continue;
    Pattern pattern{value, std::vector<std::uint32_t>(value.size() + 1, 0)};
    std::uint32_t length = 0;
    for (std::size_t i = 1; i < value.size(); ++i) {
      while (length > 0 && value[i] != value[length])
        length = pattern.fallback[length];
      if (value[i] == value[length]) ++length;
      pattern.fallback[i + 1] = length;
    }
    begins_[index_of(value.front())] = true;
    patterns_.push_back(std::move(pattern));
  }
}

std::uint32_t MaskedValues::Pattern::next(std::uint32_t matched, char byte) const noexcept {
  if (matched == text.size()) matched = fallback[matched];
  while (matched > 0 && text[matched] != byte)
    matched = fallback[matched];
  return text[matched] == byte ? matched + 1 : 0;
}

std::string MaskedValues::mask(std::string_view text) const {
  std::string out;
  Masker masker(*this);
  masker.write(text, out);
  masker.finish(out);
  return out;
}

bool MaskedValues::occurs_in(std::string_view text) const {
  return std::ranges::any_of(patterns_, [&](const Pattern& pattern) {
    return text.find(pattern.text) != std::string_view::npos;
  });
}

Masker::Masker(const MaskedValues& values)
    : values_(values), matched_(values.patterns_.size(), 0) {}

void Masker::write(std::string_view part, std::string& out) {
  std::uint64_t position = begin_ + held_.size();
  held_ += part;
  for (const char byte : part) {
    ++position;
    if (idle_ && !values_.begins_[index_of(byte)]) continue;
    idle_ = true;
    for (std::size_t i = 0; i < matched_.size(); ++i) {
      const MaskedValues::Pattern& pattern = values_.patterns_[i];
      matched_[i] = pattern.next(matched_[i], byte);
      if (matched_[i] != 0) idle_ = false;
      if (matched_[i] == pattern.text.size()) cover(position - matched_[i], position);
    }
  }
  // A match that is whole can only go on from its fallback.
  std::uint32_t longest = 0;
  for (std::size_t i = 0; i < matched_.size(); ++i) {
    const MaskedValues::Pattern& pattern = values_.patterns_[i];
    const bool whole = matched_[i] == pattern.text.size();
    longest = std::max(longest, whole ? pattern.fallback[matched_[i]] : matched_[i]);
  }
  decide(position - longest, out);
}

void Masker::finish(std::string& out) {
  decide(begin_ + held_.size(), out);
  std::ranges::fill(matched_, 0u);
  idle_ = true;
  begin_ = 0;
  last_covered_ = false;
}

// Matches come in the order of their ends; one may begin before those that came before it.
void Masker::cover(std::uint64_t begin, std::uint64_t end) {
  while (!covered_.empty() && covered_.back().end >= begin) {
    begin = std::min(begin, covered_.back().begin);
    covered_.pop_back();
  }
  covered_.push_back({begin, end});
}

void Masker::decide(std::uint64_t until, std::string& out) {
  std::uint64_t at = begin_;
  const auto plain = [&](std::uint64_t end) {
    if (end <= at) return;
    out.append(held_, at - begin_, end - at);
    at = end;
    last_covered_ = false;
  };
  while (at < until) {
    if (covered_.empty() || covered_.front().begin >= until) {
      plain(until);
      break;
    }
    Stretch& stretch = covered_.front();
    plain(stretch.begin);
    if (!last_covered_) out += mask_text;
    last_covered_ = true;
    at = std::min(stretch.end, until);
    stretch.begin = at; // what is left of it goes on from here
    if (stretch.begin == stretch.end) covered_.pop_front();
  }
  held_.erase(0, until - begin_);
  begin_ = until;
}

} // namespace mlp::secret
