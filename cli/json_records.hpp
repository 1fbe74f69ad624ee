// JSON values that follow each other in a file, cut apart one at a time: JSON lines, an array of
// objects, or one object over many lines.
#pragma once

#include "core/train/byte_source.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace mlp {

// Memory: one record, and a buffer. Not thread-safe.
class JsonRecords {
 public:
  static constexpr std::size_t max_record = std::size_t{64} << 20;

  explicit JsonRecords(std::unique_ptr<train::ByteSource> source) : source_(std::move(source)) {}

  // The text of the next object or list, which need not be valid JSON inside; false at the end. The
  // file may be one array of records: its brackets and commas are skipped. Throws Error(config)
  // with the line: a record that never ends or is too long, or text between records.
  bool next(std::string& record);

  // The line, from 1, at which the last record began.
  [[nodiscard]] std::int64_t line() const noexcept { return record_line_; }
  [[nodiscard]] const std::string& name() const noexcept { return source_->name(); }

 private:
  int get();
  int peek();
  void copy_record(std::string& record, std::size_t depth); // of brackets that are open already
  [[noreturn]] void fail(std::int64_t line, std::string_view what) const;

  std::unique_ptr<train::ByteSource> source_;
  std::string buffer_;
  std::size_t position_ = 0;
  bool ended_ = false;
  bool began_ = false;
  bool in_array_ = false;
  bool after_record_ = false; // within the array: a comma or its end is due
  bool closed_ = false;       // the array has ended
  std::int64_t line_ = 1, record_line_ = 1;
};

} // namespace mlp
