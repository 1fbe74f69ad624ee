// Event files of TensorBoard ("events.out.tfevents.*"), read for their scalars. A file is
// TFRecords: a length, its checksum, the bytes of an Event message, their checksum. Only the few
// fields of Event, Summary and TensorProto that a scalar needs are read, by the wire format of
// Protocol Buffers. Sources: tensorflow.org/tutorials/load_data/tfrecord;
// tensorboard/compat/proto/{event,summary, tensor,tensor_shape,types}.proto;
// protobuf.dev/programming-guides/encoding; CRC32C: RFC 3720, B.4.
#pragma once

#include "core/base/fs.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace mlp::track {

struct EventScalar {
  std::string_view tag; // "epoch_loss"; UTF-8; valid during the call
  double value = 0.0;
  double wall_time = 0.0; // seconds since 1970
  std::int64_t step = 0;
};
using EachScalar = std::function<void(const EventScalar& scalar)>;

struct EventFileEnd {
  std::uint64_t offset = 0; // behind the last whole record: where to go on reading
  bool damaged = false;     // the record there is no record: there is no going on
};

// Calls `each` with the scalars of every whole record from `offset` on, in order. A record that the
// file does not hold wholly, because it is being written or its writer died, is left for later.
// Memory: 4 MiB; a record of more, which no scalar is, is passed over. Blocks on the file system.
// Throws Error if the file cannot be read, and what `each` throws.
EventFileEnd read_event_file(const fs::path& path, std::uint64_t offset, const EachScalar& each);

// The scalars of one Event message. What is no such message has none: nothing is thrown but by
// `each`.
void read_event(std::string_view message, const EachScalar& each);

// CRC-32C (Castagnoli), and as TFRecords mask it.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes) noexcept;
[[nodiscard]] std::uint32_t masked_crc32c(std::string_view bytes) noexcept;

} // namespace mlp::track
