// One ssh process and what travels over it: many requests at once, each a Call. A thread of its own
// starts ssh, reads what comes, sees that something comes, and ends ssh.
#pragma once

#include "backends/storage/ssh/ssh_place.hpp"
#include "backends/storage/ssh/wire.hpp"
#include "core/base/fs.hpp"
#include "core/base/process.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>

namespace mlp::storage {

class SshConnection;

// A request under way. One thread at a time. What is still to come of its answer when it is
// destroyed is passed over.
class SshCall {
 public:
  ~SshCall();
  SshCall(SshCall&&) = delete;

  // Blocks until the answer is whole. Returns the bytes that went `into`. Throws the answer's
  // Error, or why the connection was lost.
  std::size_t finish();
  // Of a request without `into`; valid after finish().
  [[nodiscard]] const data::Bytes& answer() const noexcept { return collected_; }

  // A frame of the same id, for write. Blocks while the other end does not take it. Throws the
  // Error that has already come as its answer, or why the connection was lost.
  void send(FrameKind kind, data::ByteSpan payload);

 private:
  friend class SshConnection;
  SshCall(SshConnection& connection, std::span<std::byte> into)
      : connection_(connection), into_(into) {}

  SshConnection& connection_;
  std::uint32_t id_ = 0;
  std::span<std::byte> into_;
  // What follows is under the connection's mutex until the call is done.
  std::size_t filled_ = 0;
  data::Bytes collected_;
  bool waited_for_ = false;
  bool done_ = false;
  std::optional<Error> error_;
  std::chrono::steady_clock::time_point progress_;
  std::condition_variable answered_;
};

// Thread-safe. Blocking: bounded, for when nothing comes from the other end in
// options.stall_timeout though an answer is owed, or nothing of one answer in five minutes, the
// connection has failed. Once failed it stays so, and all of its calls throw the reason.
class SshConnection {
 public:
  // Starts connecting and returns. Throws Error(config) for settings that cannot be used.
  SshConnection(const SshPlace& place, const SshOptions& options);
  // Waits a second at most for ssh to end by itself.
  ~SshConnection();
  SshConnection(SshConnection&&) = delete;

  // Blocks until mlp at the other end has answered; throws why it did not.
  void wait_ready();
  // Calls wait_ready() first. Without `into` the answer is kept, up to max_answer. The call must
  // not outlive the connection, nor `into` the call.
  [[nodiscard]] std::unique_ptr<SshCall> start(const WireRequest& request,
                                               std::span<std::byte> into = {});

  [[nodiscard]] bool failed() const;
  // It failed, for a reason that may pass: another connection may do better.
  [[nodiscard]] bool failed_transiently() const;

 private:
  friend class SshCall;
  using Clock = std::chrono::steady_clock;

  void run();
  void start_process();
  void read_until_failure();
  // How long the reader may wait now; fails the connection where that is over. Under the mutex.
  std::optional<std::chrono::milliseconds> patience();
  void take(data::ByteSpan bytes);
  void take_greeting(data::ByteSpan& bytes);
  void deliver(const FrameReader::Piece& piece);
  void read_standard_error();
  void ended(); // standard output ended: finds out why
  void fail(SshFailure failure);
  void fail_locked(SshFailure failure);
  [[nodiscard]] Error stalled() const;
  void send_frame(const FrameHeader& header, data::ByteSpan payload);
  void end_process();
  void poke() const noexcept;

  const SshPlace place_;
  const SshOptions options_;
  const bool asks_;
  const std::vector<std::string> arguments_;
  File wake_;                      // for the reader: something has changed
  File broken_;                    // for senders: the connection has failed; never reset
  File socket_;                    // both standard input and output of ssh
  File errors_;                    // its standard error
  std::optional<Process> process_; // of the reader's thread

  // Of the reader's thread.
  FrameReader frames_;
  std::string greeting_;
  data::Bytes hello_;
  bool hello_taken_ = false;
  std::string standard_error_;

  std::mutex send_mutex_; // a frame at a time
  mutable std::mutex mutex_;
  std::condition_variable ready_changed_;
  bool ready_ = false;
  bool closing_ = false;
  std::optional<SshFailure> failure_;
  std::map<std::uint32_t, SshCall*> calls_;
  std::uint32_t next_id_ = 1;
  Clock::time_point heard_; // the last sign of life, or when one was first owed
  std::thread thread_;
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;
};

} // namespace mlp::storage
