// Operations of several processes that train one network together: sum of gradients, and small
// exchanges on the host. Rank r of N; every rank calls the same operations in the same order.
//
// Contract of every implementation
//  - Results: all_reduce gives every rank the same bits, and the same bits in every run of as many
//    ranks with the same inputs.
//  - Threads: one caller at a time, but for abort() and failure(). An implementation has a thread
//    of its own, so that reductions go on while the caller computes.
//  - Time: no wait is endless. A rank from which nothing was heard for silence_seconds while
//    something was awaited of it, and an operation that took operation_seconds, is an error.
//  - Errors: kernels::Error{failed} that names the rank to blame; failure() tells it as a number.
//    After one error every call throws it again, and the other ranks are told why.
#pragma once

#include "kernels/device.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace mlp::kernels {

// How the ranks of one job find each other: rank 0 listens, the others connect to it and are told
// each other's addresses. Who does not know the token is turned away; the token itself is never
// sent (both sides prove it with a keyed hash of the other's random number).
struct CollectiveOptions {
  int rank = 0, size = 1;
  std::string address = "127.0.0.1"; // of rank 0; IPv4, IPv6 or a name
  std::uint16_t port = 0;            // on which rank 0 listens
  std::string token;                 // the same on all ranks; not empty

  double join_seconds = 120.0;       // until all ranks have to be there
  double silence_seconds = 30.0;     // a live rank says something four times as often
  double operation_seconds = 1800.0; // e.g. how long the others may wait while rank 0 evaluates
};

struct CollectiveFailure {
  int rank = -1; // to blame; -1: unknown, or this machine
  std::string reason;
};

class Collective {
 public:
  virtual ~Collective() = default; // does not wait for others
  [[nodiscard]] virtual int rank() const noexcept = 0;
  [[nodiscard]] virtual int size() const noexcept = 0;

  // Queues: data[i] = sum over ranks of scale * data[i], after what is queued on `stream` by now.
  // Returns at once; `data` (memory of the device whose stream it is) is the collective's until
  // wait(). Ranks may differ in scale, not in count; count may be 0.
  virtual void start(Stream stream, float* data, std::int64_t count, float scale) = 0;
  // What is queued on `stream` from now on runs after all that was started. On the CPU it blocks
  // until then; on a GPU only the stream waits.
  virtual void wait(Stream stream) = 0;
  // Blocks until all that is queued on `stream` has run; unlike Device::synchronize() it does not
  // hang when a rank is gone.
  virtual void settle(Stream stream) = 0;

  // Host memory; all block. broadcast: `bytes` from `root` to all. all_gather: `bytes` of each,
  // in the order of ranks; `all` has room for size() * bytes.
  virtual void broadcast(void* data, std::size_t bytes, int root) = 0;
  virtual void all_gather(const void* mine, void* all, std::size_t bytes) = 0;
  // Returns when every rank has called it.
  void barrier();

  // This rank ends for `reason`: the others fail with it, blaming this rank. Any thread.
  virtual void abort(const std::string& reason) noexcept = 0;
  [[nodiscard]] virtual std::optional<CollectiveFailure> failure() const = 0; // any thread
};

// A ring of TCP connections, for CPU devices: each rank sends to the next one (Patarasuk & Yuan
// 2009, "Bandwidth optimal all-reduce algorithms": 2 (N - 1) / N of the data pass each link).
// Blocks until all ranks have joined. Throws kernels::Error: unavailable if they have not in time
// (naming those that are missing) or the address is not to be had, invalid for options.
[[nodiscard]] std::unique_ptr<Collective> make_ring(const CollectiveOptions& options);

// NCCL, for CUDA device number `gpu`: reductions run on a stream of their own beside the caller's.
// What is on the host goes through a ring. As make_ring(); unavailable also where mlp was built
// without CUDA or NCCL is not installed. Destroy it, or call abort(), before what its reductions
// are queued on: a reduction that waits for a lost rank ends by that alone.
[[nodiscard]] std::unique_ptr<Collective> make_nccl(const CollectiveOptions& options, int gpu);

} // namespace mlp::kernels
