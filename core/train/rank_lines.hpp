// What ranks print, passed on line by line with a prefix that says whose it is.
#pragma once

#include "core/base/fs.hpp"

#include <string>
#include <thread>
#include <vector>

namespace mlp::train {

// add() for each stream, start the programs, begin(), and finish() when they have ended. One thread
// of its own between the last two.
class RankLines {
 public:
  RankLines() = default;
  ~RankLines();
  RankLines(const RankLines&) = delete;

  // The descriptor for a program to write to; what comes goes to descriptor `to`. The caller closes
  // it once the program has it. Throws Error.
  [[nodiscard]] File add(std::string prefix, int to);
  void begin();
  void finish(); // waits until all that was written is passed on

 private:
  struct Source {
    std::string prefix;
    int to;
    File from;
    std::string line; // begun
  };
  void run() noexcept;
  static bool pass_on(Source& source);

  std::vector<Source> sources_;
  std::thread thread_;
};

} // namespace mlp::train
