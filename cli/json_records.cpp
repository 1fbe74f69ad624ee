// Only brackets and strings matter for where a record ends; whether it is JSON is for the parser.
#include "cli/json_records.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

namespace mlp {

void JsonRecords::fail(std::int64_t line, std::string_view what) const {
  throw Error(ErrorKind::config, fmt::format("'{}' line {}: {}", name(), line, what));
}

int JsonRecords::peek() {
  if (position_ == buffer_.size()) {
    if (ended_) return -1;
    buffer_.resize(256u << 10);
    buffer_.resize(source_->read(buffer_));
    position_ = 0;
    ended_ = buffer_.empty();
    if (ended_) return -1;
  }
  return static_cast<unsigned char>(buffer_[position_]);
}

int JsonRecords::get() {
  const int c = peek();
  if (c >= 0) ++position_;
  if (c == '\n') ++line_;
  return c;
}

void JsonRecords::copy_record(std::string& record, std::size_t depth) {
  bool in_string = false;
  do {
    const int c = get();
    if (c < 0) fail(record_line_, "a record begins here and never ends");
    if (record.size() == max_record) fail(record_line_, "a record is longer than 64 MiB");
    record += static_cast<char>(c);
    if (in_string) {
      if (c == '\\') {
        if (const int escaped = get(); escaped >= 0) record += static_cast<char>(escaped);
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  } while (depth > 0);
}

bool JsonRecords::next(std::string& record) {
  record.clear();
  while (true) {
    const int c = peek();
    if (c < 0) {
      if (in_array_ && !closed_) fail(line_, "the list never ends");
      return false;
    }
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      get();
      continue;
    }
    if (closed_) fail(line_, "there is text after the end of the list");
    if (c == '[' && !began_) {
      // A list of records, unless the file is lines of lists: then the first holds plain values.
      get();
      int first = peek();
      while (first == ' ' || first == '\t' || first == '\r' || first == '\n') {
        get();
        first = peek();
      }
      began_ = true;
      if (first == '{' || first == '[' || first == ']') {
        in_array_ = true;
        continue;
      }
      record_line_ = line_;
      record += '[';
      copy_record(record, 1);
      return true;
    }
    if (in_array_ && c == ']') {
      get();
      closed_ = true;
      continue;
    }
    if (in_array_ && after_record_) {
      if (c != ',') fail(line_, "a comma is missing between records");
      get();
      after_record_ = false;
      continue;
    }
    if (c != '{' && c != '[') fail(line_, "a record must be an object or a list");
    began_ = true;
    after_record_ = true;
    record_line_ = line_;
    copy_record(record, 0);
    return true;
  }
}

} // namespace mlp
