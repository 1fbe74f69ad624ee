// The protocol of ssh: remotes, between mlp here and `mlp storage-serve` at the other end of an ssh
// connection. Version 1. Integers are little-endian, varints and sized texts as in core/data/bytes.
//
// The server begins with `wire_magic`; all else, both ways, are frames: u32 size of the payload (at
// most max_frame), u32 id of the request, u8 kind, payload. The client begins with `hello` and does
// not wait for the server's. Requests are under way at once, and are answered in any order: with
// any number of `part` frames, whose payloads are to be put together, and one `done`, which ends
// them, or with one `error`. Ids are never used again; id 0 is the connection itself.
//
//   hello     client: u32 highest version, u32 ms between signs of life
//             server: u32 version in use, sized text: its software
//   has       count, names                      -> for each: u8 there, and if so varint size
//   read      name, varint offset, varint size  -> the bytes, fewer only at the object's end
//   list      prefix, after, varint limit       -> u8 more, count, and for each: name, varint size
//   remove    count, names                      -> nothing
//   read_ref  name                              -> u8 there, and if so its text
//   swap      name, expected, desired (as read_ref answers) -> u8 swapped, and what the ref holds
//   clean     nothing                           -> varint: abandoned writes that were removed
//   write     name; then `data` frames of the same id, the object's bytes, and at last `commit`,
//             which alone is answered, or `abandon`, which is not; an error comes as it happens
//   stat_file nothing                           -> varint size, sized text: its state
//   read_file state, varint offset, varint size -> the bytes; conflict if it has another state now
//   alive     from the server while it works on something, id 0: it has not hung
//
// The last two read the very file that the server's path names. Whatever breaks these rules ends
// the connection. An `error` is u8 kind (the exit code of its ErrorKind), sized message, and count
// and sized texts of contexts and of hints.
#pragma once

#include "core/base/error.hpp"
#include "core/data/bytes.hpp"
#include "core/data/storage.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::storage {

inline constexpr std::uint32_t wire_version = 1;
inline constexpr std::string_view wire_magic = "mlp storage\n";
inline constexpr std::size_t frame_header_size = 9;
inline constexpr std::size_t max_frame = 1u << 20;
inline constexpr std::size_t max_names = 1000;       // of one has or remove
inline constexpr std::size_t max_page = 10'000;      // names of one list
inline constexpr std::size_t max_answer = 8u << 20;  // of all parts but those of read
inline constexpr std::uint64_t max_read = 64u << 20; // of one read
inline constexpr std::size_t max_file_state = 200;   // bytes
inline constexpr std::size_t max_streams = 64;       // objects being written at once

enum class FrameKind : std::uint8_t {
  hello = 1,
  has,
  read,
  list,
  remove,
  read_ref,
  swap,
  clean,
  write,
  data,
  commit,
  abandon,
  stat_file,
  read_file,
  part = 64,
  done,
  error,
  alive,
};

struct FrameHeader {
  std::uint32_t size = 0;
  std::uint32_t id = 0;
  FrameKind kind = FrameKind::hello;
};

[[nodiscard]] std::array<std::byte, frame_header_size> encode_header(const FrameHeader& header);

// Cuts a stream into frames without keeping their payloads. Not thread-safe.
class FrameReader {
 public:
  struct Piece {
    FrameHeader header;
    data::ByteSpan bytes; // of the payload; into the bytes that were given
    bool last = false;    // the payload ends with it
  };

  // Takes the next piece off the front of `data`; nullopt when all of it is used up. Throws
  // Error(integrity) for a frame that is too large or of an unknown kind.
  [[nodiscard]] std::optional<Piece> next(data::ByteSpan& data);
  // True within a frame.
  [[nodiscard]] bool in_frame() const noexcept { return header_bytes_ != 0; }

 private:
  std::array<std::byte, frame_header_size> raw_{};
  std::size_t header_bytes_ = 0; // all of them: `left_` of the payload are still to come
  FrameHeader header_;
  std::uint32_t left_ = 0;
};

// A request; each kind uses some of it.
struct WireRequest {
  FrameKind kind = FrameKind::clean;
  std::vector<std::string> names = {}; // has, remove; one: read, read_ref, swap, write
  std::string text = {};               // list: prefix; read_file: state
  std::string after = {};              // list
  std::uint64_t offset = 0;            // read, read_file
  std::uint64_t size = 0;              // read, read_file; list: limit
  std::optional<std::string> expected = {}, desired = {}; // swap

  bool operator==(const WireRequest&) const = default;
};

[[nodiscard]] data::Bytes encode_request(const WireRequest& request);
// Throws Error(integrity) for bytes that are no such request or beyond the limits above. Names are
// only bounded here: the storage checks them.
[[nodiscard]] WireRequest decode_request(FrameKind kind, data::ByteSpan payload);

struct ClientHello {
  std::uint32_t version = wire_version;
  std::uint32_t alive_ms = 0;
};
struct ServerHello {
  std::uint32_t version = wire_version;
  std::string software;
};
struct FileState {
  std::uint64_t size = 0;
  std::string state; // differs where the file may have changed
};

// Answers. Each decode throws Error(integrity) for anything that its encode would not have made.
[[nodiscard]] data::Bytes encode_hello(const ClientHello& hello);
[[nodiscard]] data::Bytes encode_hello(const ServerHello& hello);
[[nodiscard]] ClientHello decode_client_hello(data::ByteSpan payload);
[[nodiscard]] ServerHello decode_server_hello(data::ByteSpan payload);
[[nodiscard]] data::Bytes encode_sizes(const std::vector<std::optional<std::uint64_t>>& sizes);
[[nodiscard]] std::vector<std::optional<std::uint64_t>> decode_sizes(data::ByteSpan payload,
                                                                     std::size_t count);
[[nodiscard]] data::Bytes encode_page(const data::ListPage& page);
// Also for names that are not in order, not after `after` or do not begin with `prefix`.
[[nodiscard]] data::ListPage decode_page(data::ByteSpan payload, std::string_view prefix,
                                         std::string_view after, std::size_t limit);
[[nodiscard]] data::Bytes encode_ref(const std::optional<std::string>& text);
[[nodiscard]] std::optional<std::string> decode_ref(data::ByteSpan payload);
[[nodiscard]] data::Bytes encode_swap(const data::SwapResult& result);
[[nodiscard]] data::SwapResult decode_swap(data::ByteSpan payload);
[[nodiscard]] data::Bytes encode_count(std::uint64_t count);
[[nodiscard]] std::uint64_t decode_count(data::ByteSpan payload);
[[nodiscard]] data::Bytes encode_file_state(const FileState& state);
[[nodiscard]] FileState decode_file_state(data::ByteSpan payload);
// Texts are cut to what one frame takes. Reading makes control characters visible.
[[nodiscard]] data::Bytes encode_error(const Error& error);
[[nodiscard]] Error decode_error(data::ByteSpan payload);

} // namespace mlp::storage
