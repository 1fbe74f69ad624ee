// Who may change what a remote has: any number of pushes at once, or one collection of garbage.
//
//   refs/pushes/<16 characters>   one a push: {"host":..,"time":".."}
//   refs/gc                       the same, of the collection
//
// Each writes its own ref and then looks for the other's, so that of the two at least one sees the
// other and gives way. A ref whose owner died counts for an hour, and then whoever it is in the way
// of removes it. That is safe without trusting clocks: a push asks whether its ref was still there
// after it published, and otherwise looks again at all that it sent (see Datasets::push).
#pragma once

#include "core/data/storage.hpp"

#include <chrono>
#include <mutex>
#include <stop_token>
#include <string>

namespace mlp::data {

enum class ClaimKind : std::uint8_t { push, collection };

// Thread-safe.
class RemoteClaim {
 public:
  // Waits up to `patience` while the other kind is at work. Blocks. Throws Error: conflict, with
  // the host that it waited for; interrupted; what the storage throws. `storage` outlives it.
  RemoteClaim(Storage& storage, ClaimKind kind, std::chrono::seconds patience,
              const std::stop_token& stop);
  // Removes the ref, as far as that can be done.
  ~RemoteClaim();
  RemoteClaim(RemoteClaim&&) = delete;

  // Tells the others that its owner lives. Does nothing when it has just been done.
  void renew();
  // Whether the ref is still there: nobody of the other kind has been at work since.
  [[nodiscard]] bool held();

 private:
  bool take();
  [[nodiscard]] std::string blocker();

  Storage& storage_;
  ClaimKind kind_;
  std::string name_;
  std::mutex mutex_;
  std::string text_; // what the ref holds
  std::chrono::steady_clock::time_point renewed_;
};

} // namespace mlp::data
