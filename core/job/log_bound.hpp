// Keeps a log that a program writes to from filling the disk: its beginning and its end stay, and
// the blocks between them are given back (a hole in the file), while the program goes on writing.
// Who reads passes over the hole; offsets stay what they were.
#pragma once

#include "core/base/fs.hpp"

#include <cstdint>
#include <string>

namespace mlp::job {

class LogBound {
 public:
  // `limit`: most bytes that stay, but for what is written between two calls of keep(); 0: no
  // bound. A sixteenth of it is for the beginning.
  LogBound(fs::path path, std::uint64_t limit);

  // Quick where there is nothing to do. Does not throw: a file system without holes has no bound,
  // and problem() says so.
  void keep() noexcept;

  [[nodiscard]] std::uint64_t left_out() const noexcept { return end_ - begin_; }
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  fs::path path_;
  std::uint64_t limit_;
  std::uint64_t begin_ = 0, end_ = 0; // the hole
  std::string problem_;
};

struct LogPart {
  std::uint64_t begin = 0; // of `text` in the log: behind the hole, if `offset` was in one
  std::string text;
  bool more = false; // the log goes on behind it
};
// Up to `limit` bytes of a log from `offset` on, none of them from a hole. Throws Error.
[[nodiscard]] LogPart read_log(const File& log, std::uint64_t offset, std::size_t limit);

} // namespace mlp::job
