// Between the programs of a run and its logs, where what they write is not to stand there as it
// comes: the secrets in it are masked, and each line of one process of several begins with the name
// of the process. The programs write to pipes, and a thread writes what comes out of them.
#pragma once

#include "core/base/fs.hpp"
#include "core/secret/masker.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace mlp::job {

class ProgramOutput {
 public:
  // Takes the log files over and starts the thread, which has the signal mask of the caller. A
  // program for each of the `prefixes`; with an empty one lines stay as they are. `values` must
  // outlive it. Throws Error if there can be no pipes.
  ProgramOutput(const secret::MaskedValues& values, const std::vector<std::string>& prefixes,
                File standard_output, File standard_error);
  ~ProgramOutput();
  ProgramOutput(ProgramOutput&&) = delete;

  // The ends for a program; ours until close_program_ends().
  [[nodiscard]] int standard_output(std::size_t program) const noexcept {
    return streams_[2 * program]->program.fd();
  }
  [[nodiscard]] int standard_error(std::size_t program) const noexcept {
    return streams_[2 * program + 1]->program.fd();
  }
  // To be called when all programs have been started: their ends are then seen.
  void close_program_ends() noexcept;

  // Once the programs have ended: returns when all that they wrote is in the files. Waits for
  // nobody who holds a pipe open, and at most two seconds for those who go on writing. Idempotent.
  void finish() noexcept;
  // Bytes that the files could not take, for a full disk. After finish().
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  struct Stream {
    Stream(const secret::MaskedValues& values, std::string line_prefix, File& log_file);
    File& log;
    File ours, program; // the pipe
    secret::Masker masker;
    std::string prefix, line; // what has come of a line that has not ended, if there is a prefix
  };
  void work() noexcept;
  bool take(Stream& stream); // false once its pipe is empty or closed
  void end(Stream& stream);
  void write_lines(Stream& stream, std::string_view text, bool last);
  void write(Stream& stream, std::string_view text);

  File out_, err_;
  std::vector<std::unique_ptr<Stream>> streams_; // out and err of the first program, ...
  File stop_;                                    // an eventfd
  std::uint64_t lost_ = 0;
  std::jthread thread_;
};

// "[rank 3] ": how a line of that process begins in the logs of a run that has several.
[[nodiscard]] std::string line_prefix(std::string_view process);

} // namespace mlp::job
