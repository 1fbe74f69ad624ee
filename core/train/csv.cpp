// Most lines hold no quote and are cut at delimiters by memchr; a line with a quote goes through a
// small state machine, which takes further lines while a quote is open.
#include "core/train/csv.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <cstring>

namespace mlp::train {
namespace {

constexpr std::size_t kBlock = 256 * 1024;

bool has_byte(std::string_view text, char byte) noexcept {
  return !text.empty() && std::memchr(text.data(), byte, text.size()) != nullptr;
}

} // namespace

CsvReader::CsvReader(std::unique_ptr<ByteSource> source, CsvDialect dialect)
    : source_(std::move(source)), dialect_(std::move(dialect)), buffer_(2 * kBlock) {}

void CsvReader::fail(std::int64_t line, std::string_view what) const {
  throw Error(ErrorKind::config, fmt::format("{}:{}: {}", name(), line, what));
}

// Moves the unread part to the front, doubles the buffer if it is full, reads a block.
bool CsvReader::fill() {
  if (ended_) return false;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < kBlock) buffer_.resize(buffer_.size() * 2);
  const std::size_t n = source_->read(std::span(buffer_).subspan(end_, kBlock));
  end_ += n;
  ended_ = n == 0;
  return !ended_;
}

// Where the line that goes on at `from` ends, both counted from begin_: at its LF or the end of the
// file. False if there is no byte left.
bool CsvReader::find_line_end(std::size_t from, std::size_t& end) {
  std::size_t scanned = from;
  for (;;) {
    const char* start = buffer_.data() + begin_;
    const std::size_t have = end_ - begin_;
    if (scanned < have) {
      if (const void* found = std::memchr(start + scanned, '\n', have - scanned)) {
        end = static_cast<std::size_t>(static_cast<const char*>(found) - start);
        break;
      }
      scanned = have;
    }
    if (have > dialect_.max_line_bytes || !fill()) {
      if (have <= from && ended_) return false;
      end = have;
      break;
    }
  }
  if (end > dialect_.max_line_bytes)
    fail(record_line_,
         fmt::format("the line is longer than {}{}", format_bytes(dialect_.max_line_bytes),
                     from > 0 ? " (a quote may not be closed)" : ""));
  return true;
}

bool CsvReader::is_left_out(std::string_view line) {
  if (line_ <= dialect_.skip_rows) return true;
  if (!dialect_.comment.empty() && line.starts_with(dialect_.comment)) return true;
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string_view CsvReader::trimmed(std::string_view field) const noexcept {
  if (!dialect_.trim) return field;
  while (!field.empty() && (field.front() == ' ' || field.front() == '\t'))
    field.remove_prefix(1);
  while (!field.empty() && (field.back() == ' ' || field.back() == '\t'))
    field.remove_suffix(1);
  return field;
}

bool CsvReader::next(std::vector<std::string_view>& fields) {
  for (;;) {
    begin_ += consumed_;
    consumed_ = 0;
    record_line_ = ++line_;
    std::size_t end = 0;
    if (!find_line_end(0, end)) return false;
    std::string_view line(buffer_.data() + begin_, end);
    consumed_ = end + (begin_ + end < end_ ? 1 : 0);
    if (line_ == 1) {
      if (line.starts_with("\xFF\xFE") || line.starts_with("\xFE\xFF"))
        fail(1, "the file is UTF-16 text; convert it to UTF-8");
      if (line.starts_with("\xEF\xBB\xBF")) { // byte order mark
        begin_ += 3;
        consumed_ -= 3;
        end -= 3;
        line.remove_prefix(3);
      }
    }
    if (has_byte(line, '\0')) fail(line_, "the line holds a NUL byte: is this a text file?");
    if (is_left_out(line)) continue;
    fields.clear();
    if (has_byte(line, '"')) {
      end = split_quoted(end, fields);
      consumed_ = end + (begin_ + end < end_ ? 1 : 0);
    } else {
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      split_plain(line, fields);
    }
    return true;
  }
}

void CsvReader::split_plain(std::string_view line, std::vector<std::string_view>& fields) const {
  for (;;) {
    const void* found =
        line.empty() ? nullptr : std::memchr(line.data(), dialect_.delimiter, line.size());
    if (found == nullptr) break;
    const auto size = static_cast<std::size_t>(static_cast<const char*>(found) - line.data());
    fields.push_back(trimmed(line.substr(0, size)));
    line.remove_prefix(size + 1);
  }
  fields.push_back(trimmed(line));
}

// Splits the record at begin_ whose first line ends at `end`; returns where the record ends.
std::size_t CsvReader::split_quoted(std::size_t end, std::vector<std::string_view>& fields) {
  unquoted_.clear();
  ranges_.clear();
  const auto at = [this](std::size_t i) { return buffer_[begin_ + i]; };
  const auto is_space = [this](char c) {
    return dialect_.trim && (c == ' ' || c == '\t') && c != dialect_.delimiter;
  };
  // The content of a line ends before CR LF.
  const auto content_end = [&at](std::size_t from, std::size_t to) {
    return to > from && at(to - 1) == '\r' ? to - 1 : to;
  };
  std::size_t i = 0;
  for (bool more = true; more;) {
    std::size_t start = i;
    while (start < end && is_space(at(start)))
      ++start;
    if (start >= end || at(start) != '"') { // an unquoted field
      std::size_t stop = i;
      const std::size_t last = content_end(i, end);
      while (stop < last && at(stop) != dialect_.delimiter)
        ++stop;
      ranges_.push_back({i, stop - i, false});
      more = stop < last;
      i = stop + 1;
      continue;
    }
    const std::size_t kept = unquoted_.size();
    for (i = start + 1;; ++i) {
      if (i >= end) { // the quote is still open: take the next line as well
        std::size_t next_end = 0;
        if (!find_line_end(end + 1, next_end)) fail(record_line_, "a quote is never closed");
        ++line_;
        const std::string_view line(buffer_.data() + begin_ + end + 1, next_end - end - 1);
        if (has_byte(line, '\0')) fail(line_, "the line holds a NUL byte: is this a text file?");
        unquoted_ += '\n';
        i = end;
        end = next_end;
        continue;
      }
      if (at(i) != '"') {
        unquoted_ += at(i);
      } else if (i + 1 < end && at(i + 1) == '"') {
        unquoted_ += at(++i);
      } else {
        break;
      }
    }
    ranges_.push_back({kept, unquoted_.size() - kept, true});
    ++i;
    const std::size_t last = content_end(i, end);
    while (i < last && is_space(at(i)))
      ++i;
    if (i < last && at(i) != dialect_.delimiter)
      fail(line_, fmt::format("text after the closing quote of field {}", ranges_.size()));
    more = i < last;
    ++i;
  }
  for (const FieldRange& range : ranges_) {
    if (range.unquoted)
      fields.push_back(std::string_view(unquoted_).substr(range.begin, range.size));
    else
      fields.push_back(trimmed({buffer_.data() + begin_ + range.begin, range.size}));
  }
  return end;
}

} // namespace mlp::train
