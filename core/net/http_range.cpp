// 206 begins at the offset; 200 begins at 0, and what lies before the offset is thrown away.
#include "core/net/http_range.hpp"

#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace mlp::net {

namespace {

// "bytes 5-9/100" -> first, last, and the size of the whole unless it is "*".
struct ContentRange {
  std::uint64_t first = 0, last = 0;
  std::optional<std::uint64_t> size;
};

std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take_char(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  ContentRange range;
  const auto first = take_number(text);
  if (!first || !take_char(text, '-')) return std::nullopt;
  const auto last = take_number(text);
  if (!last || *last < *first || !take_char(text, '/')) return std::nullopt;
  range.first = *first;
  range.last = *last;
  if (text != "*") {
    range.size = take_number(text);
    if (!range.size || !text.empty() || *range.size <= range.last) return std::nullopt;
  }
  return range;
}

} // namespace

std::string RangeReader::header() const {
  return fmt::format("bytes={}-{}", offset_, offset_ + into_.size() - 1);
}

bool RangeReader::take(const HttpResponse& head, std::span<const std::byte> data) {
  const std::uint64_t skip = head.status == 206 || seen_ >= offset_
                                 ? 0
                                 : std::min<std::uint64_t>(offset_ - seen_, data.size());
  seen_ += data.size();
  data = data.subspan(static_cast<std::size_t>(skip));
  const std::size_t n = std::min(data.size(), into_.size() - done_);
  if (n > 0) std::memcpy(into_.data() + done_, data.data(), n);
  done_ += n;
  // Of a whole body no more is wanted; a range that is longer than asked for is found out below.
  return head.status == 206 || done_ < into_.size();
}

std::size_t RangeReader::finish(const HttpResponse& response) const {
  if (response.status == 416) return 0;
  if (response.status != 206) return done_;
  const std::string* header = response.header("content-range");
  const auto range = header != nullptr ? parse_content_range(*header) : std::nullopt;
  if (!range || range->first != offset_ || range->last - range->first + 1 != seen_ ||
      seen_ > into_.size() || (seen_ < into_.size() && range->size != range->last + 1))
    throw Error(ErrorKind::failed,
                fmt::format("asked for '{}', the server sent {} bytes as '{}'", this->header(),
                            seen_, header == nullptr ? "" : printable(*header)));
  return done_;
}

} // namespace mlp::net
