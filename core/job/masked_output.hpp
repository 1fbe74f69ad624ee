// Between a program and its logs, for a run that has secrets: the program writes to pipes, and a
// thread writes what comes out of them to the log files with the secrets masked.
#pragma once

#include "core/base/fs.hpp"
#include "core/secret/masker.hpp"

#include <cstdint>
#include <thread>

namespace mlp::job {

class MaskedOutput {
 public:
  // Takes the log files over and starts the thread, which has the signal mask of the caller.
  // `values` must outlive it. Throws Error if there can be no pipes.
  MaskedOutput(const secret::MaskedValues& values, File standard_output, File standard_error);
  ~MaskedOutput();
  MaskedOutput(MaskedOutput&&) = delete;

  // The ends for the program; ours until close_program_ends().
  [[nodiscard]] int standard_output() const noexcept { return out_.program.fd(); }
  [[nodiscard]] int standard_error() const noexcept { return err_.program.fd(); }
  // To be called when the program has been started: its end is then seen.
  void close_program_ends() noexcept;

  // Once the program has ended: returns when all that it wrote is in the files. Waits for nobody
  // who holds a pipe open, and at most two seconds for one who goes on writing. Idempotent.
  void finish() noexcept;
  // Bytes that the files could not take, for a full disk. After finish().
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  struct Stream {
    Stream(const secret::MaskedValues& values, File log_file);
    File log;
    File ours, program; // the pipe
    secret::Masker masker;
  };
  void work() noexcept;
  bool take(Stream& stream); // false if there is nothing more for now
  void end(Stream& stream);
  void write(Stream& stream, const std::string& text);

  Stream out_, err_;
  File stop_; // an eventfd
  std::uint64_t lost_ = 0;
  std::jthread thread_;
};

} // namespace mlp::job
