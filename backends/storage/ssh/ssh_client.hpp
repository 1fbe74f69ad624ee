// The connection that a storage or a file at the other end of ssh uses: opened when first needed,
// opened again after one that was lost, and requests repeated where that is right.
#pragma once

#include "backends/storage/ssh/connection.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace mlp::storage {

// Thread-safe. Blocking: bounded, as SshConnection is, times the attempts of options.retry.
class SshClient {
 public:
  SshClient(SshPlace place, SshOptions options)
      : place_(std::move(place)), options_(std::move(options)) {}

  [[nodiscard]] const SshPlace& place() const noexcept { return place_; }
  [[nodiscard]] const SshOptions& options() const noexcept { return options_; }

  // A connection that has been greeted. Tries again where that may help. Throws Error: why there is
  // none.
  [[nodiscard]] std::shared_ptr<SshConnection> connect();

  // Sends a request that may be repeated, and again over another connection if this one is lost.
  // Returns the answer; with `into`, the bytes are there and `filled` tells how many.
  data::Bytes ask(const WireRequest& request, std::span<std::byte> into = {},
                  std::size_t* filled = nullptr);
  // The same for one that may not: lost with its connection.
  data::Bytes ask_once(const WireRequest& request);

 private:
  // `body` with a greeted connection, until none is lost.
  using Body = std::function<void(const std::shared_ptr<SshConnection>&)>;
  void repeat(const Body& body);
  [[nodiscard]] std::shared_ptr<SshConnection> current();

  const SshPlace place_;
  const SshOptions options_;
  std::mutex mutex_;
  std::shared_ptr<SshConnection> connection_;
};

} // namespace mlp::storage
