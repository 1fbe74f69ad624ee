// Records of a CSV file, one at a time, as views into a buffer. Source: RFC 4180, and what real
// files do beyond it: LF alone, other delimiters, spaces around fields, comment lines, blank lines.
#pragma once

#include "core/train/byte_source.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::train {

struct CsvDialect {
  char delimiter = ',';
  std::string comment;        // lines that begin with it are left out; empty: none
  std::int64_t skip_rows = 0; // lines to leave out at the beginning
  bool trim = true;           // drop spaces and tabs around unquoted fields
  std::size_t max_line_bytes = std::size_t{1} << 20; // of a record with its quoted line ends
};

// Memory: a few times the longest record, at least 1 MiB. Not thread-safe.
class CsvReader {
 public:
  CsvReader(std::unique_ptr<ByteSource> source, CsvDialect dialect);

  // The next record that is not blank, or false at the end. The views are valid until the next
  // call. Throws Error(config) with file and line: a quote that is never closed, text after a
  // closing quote, a NUL byte, a record that is too long; and what ByteSource::read throws.
  bool next(std::vector<std::string_view>& fields);

  // The line, from 1, at which the last record began.
  [[nodiscard]] std::int64_t line() const noexcept { return record_line_; }
  [[nodiscard]] const std::string& name() const noexcept { return source_->name(); }

 private:
  struct FieldRange {
    std::size_t begin, size;
    bool unquoted; // in unquoted_, else in the buffer, from begin_
  };

  bool fill();
  bool find_line_end(std::size_t from, std::size_t& end);
  bool is_left_out(std::string_view line);
  void split_plain(std::string_view line, std::vector<std::string_view>& fields) const;
  std::size_t split_quoted(std::size_t end, std::vector<std::string_view>& fields);
  [[nodiscard]] std::string_view trimmed(std::string_view field) const noexcept;
  [[noreturn]] void fail(std::int64_t line, std::string_view what) const;

  std::unique_ptr<ByteSource> source_;
  CsvDialect dialect_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0; // the unread part of the buffer
  std::size_t consumed_ = 0;        // bytes of it that the last record took
  bool ended_ = false;
  std::int64_t line_ = 0, record_line_ = 0;
  std::string unquoted_; // characters of quoted fields of the last record
  std::vector<FieldRange> ranges_;
};

} // namespace mlp::train
