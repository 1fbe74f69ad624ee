// What travels in a ring: frames, and the order in which an operation's parts are sent and
// received; and the ring as another collective's means to see who is gone.
#pragma once

#include "kernels/collective/collective.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mlp::kernels {

class HostRing : public Collective {
 public:
  // While something is awaited of the others elsewhere, a neighbour that is silent or has closed
  // its connection is lost even where no operation of the ring waits for it.
  virtual void expect(bool others) noexcept = 0;
};
[[nodiscard]] std::unique_ptr<HostRing> make_host_ring(const CollectiveOptions& options);

// Before each piece of data; little-endian.
struct RingFrame {
  std::uint32_t magic = kMagic;
  std::uint8_t type = 0;      // Type
  std::uint8_t operation = 0; // RingOperation::Kind
  std::uint16_t zero = 0;
  std::uint32_t bytes = 0;    // that follow
  std::int32_t rank = -1;     // abort: to blame
  std::uint64_t sequence = 0; // of the operation, from 1
  std::uint64_t total = 0;    // bytes of the operation's data: the same on all ranks

  static constexpr std::uint32_t kMagic = 0x52706c6d; // "mlpR"
  enum Type : std::uint8_t { data = 1, alive = 2, aborted = 3 };
  static constexpr std::size_t kMostData = 256 * 1024;
  static constexpr std::size_t kMostText = 4096;
};
static_assert(sizeof(RingFrame) == 32);

// One operation as two streams of bytes: what is sent to the next rank, and what is received from
// the previous one. Piece i of what is sent is piece i - 1 of what was received (after it was
// added), but for the first piece, which this rank has from the start. So byte b of the sent
// stream may go as soon as byte b - head has come.
struct RingOperation {
  enum Kind : std::uint8_t { all_reduce = 1, broadcast = 2, all_gather = 3 };
  struct Piece {
    std::size_t begin = 0, bytes = 0; // in `data`
  };

  Kind kind = all_reduce;
  std::byte* data = nullptr;
  std::size_t total = 0;
  float scale = 1.0F; // all_reduce: of this rank's data
  std::vector<Piece> sent, received;
  std::size_t head = 0;  // bytes that may be sent at once
  std::size_t added = 0; // pieces at the front of `received` that are added, not stored
};

[[nodiscard]] RingOperation plan_all_reduce(float* data, std::size_t count, float scale, int rank,
                                            int size);
[[nodiscard]] RingOperation plan_broadcast(std::byte* data, std::size_t bytes, int root, int rank,
                                           int size);
// `data` has room for size * bytes; this rank's part is in its place.
[[nodiscard]] RingOperation plan_all_gather(std::byte* data, std::size_t bytes, int rank, int size);

} // namespace mlp::kernels
