// Encoding and strict decoding: a value has one encoding, and every count and length has a limit.
#include "backends/storage/ssh/wire.hpp"

#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::storage {

namespace {

using data::ByteReader;
using data::Bytes;
using data::ByteSpan;
using data::ByteWriter;

constexpr const char* what = "message of an ssh: remote";
constexpr std::size_t max_error_text = 4096;
constexpr std::size_t max_error_texts = 16;
constexpr std::size_t max_software = 100;

bool is_known(std::uint8_t kind) {
  return (kind >= static_cast<std::uint8_t>(FrameKind::hello) &&
          kind <= static_cast<std::uint8_t>(FrameKind::read_file)) ||
         (kind >= static_cast<std::uint8_t>(FrameKind::part) &&
          kind <= static_cast<std::uint8_t>(FrameKind::alive));
}

bool read_flag(ByteReader& in) {
  const std::uint8_t value = in.u8();
  if (value > 1) in.fail("a flag is neither 0 nor 1");
  return value == 1;
}

void write_optional(ByteWriter& out, const std::optional<std::string>& text) {
  out.u8(text ? 1 : 0);
  if (text) out.sized_text(*text);
}

std::optional<std::string> read_optional(ByteReader& in) {
  if (!read_flag(in)) return std::nullopt;
  return std::string(in.sized_text(data::max_ref_bytes));
}

std::string read_name(ByteReader& in) {
  return std::string(in.sized_text(data::max_object_name));
}

void write_texts(ByteWriter& out, const std::vector<std::string>& texts) {
  const std::size_t count = std::min(texts.size(), max_error_texts);
  out.varint(count);
  for (std::size_t i = 0; i < count; ++i)
    out.sized_text(std::string_view(texts[i]).substr(0, max_error_text));
}

// Kinds that a place may answer with; any other word of it is just a failure.
ErrorKind kind_of_code(std::uint8_t code) {
  for (const ErrorKind kind : {ErrorKind::config, ErrorKind::not_found, ErrorKind::conflict,
                               ErrorKind::denied, ErrorKind::unreachable, ErrorKind::integrity})
    if (exit_code(kind) == code) return kind;
  return ErrorKind::failed;
}

} // namespace

std::array<std::byte, frame_header_size> encode_header(const FrameHeader& header) {
  std::array<std::byte, frame_header_size> raw{};
  for (unsigned i = 0; i < 4; ++i) {
    raw[i] = static_cast<std::byte>(header.size >> (8 * i));
    raw[4 + i] = static_cast<std::byte>(header.id >> (8 * i));
  }
  raw[8] = static_cast<std::byte>(header.kind);
  return raw;
}

std::optional<FrameReader::Piece> FrameReader::next(ByteSpan& data) {
  if (header_bytes_ < frame_header_size) {
    const std::size_t n = std::min(data.size(), frame_header_size - header_bytes_);
    std::copy_n(data.begin(), n, raw_.begin() + static_cast<std::ptrdiff_t>(header_bytes_));
    header_bytes_ += n;
    data = data.subspan(n);
    if (header_bytes_ < frame_header_size) return std::nullopt;
    ByteReader in(raw_, what);
    header_.size = in.u32();
    header_.id = in.u32();
    const std::uint8_t kind = in.u8();
    if (!is_known(kind)) in.fail("an unknown kind of frame");
    if (header_.size > max_frame) in.fail("a frame is too large");
    header_.kind = static_cast<FrameKind>(kind);
    left_ = header_.size;
  }
  if (left_ > 0 && data.empty()) return std::nullopt;
  const std::size_t n = std::min<std::size_t>(data.size(), left_);
  const Piece piece{header_, data.first(n), n == left_};
  data = data.subspan(n);
  left_ -= static_cast<std::uint32_t>(n);
  if (piece.last) header_bytes_ = 0;
  return piece;
}

Bytes encode_request(const WireRequest& request) {
  Bytes bytes;
  ByteWriter out(bytes);
  const auto first = [&] { out.sized_text(request.names.at(0)); };
  switch (request.kind) {
  case FrameKind::has:
  case FrameKind::remove:
    out.varint(request.names.size());
    for (const auto& name : request.names)
      out.sized_text(name);
    break;
  case FrameKind::read:
    first();
    out.varint(request.offset);
    out.varint(request.size);
    break;
  case FrameKind::list:
    out.sized_text(request.text);
    out.sized_text(request.after);
    out.varint(request.size);
    break;
  case FrameKind::swap:
    first();
    write_optional(out, request.expected);
    write_optional(out, request.desired);
    break;
  case FrameKind::read_ref:
  case FrameKind::write:
    first();
    break;
  case FrameKind::read_file:
    out.sized_text(request.text);
    out.varint(request.offset);
    out.varint(request.size);
    break;
  default: // clean, stat_file
    break;
  }
  return bytes;
}

WireRequest decode_request(FrameKind kind, ByteSpan payload) {
  ByteReader in(payload, what);
  WireRequest request{.kind = kind};
  const auto range = [&] {
    request.offset = in.varint();
    request.size = in.varint();
    if (request.size > max_read) in.fail("it asks for too much at once");
  };
  switch (kind) {
  case FrameKind::has:
  case FrameKind::remove: {
    const std::uint64_t count = in.count(1);
    if (count > max_names) in.fail("it names too many objects");
    for (std::uint64_t i = 0; i < count; ++i)
      request.names.push_back(read_name(in));
    break;
  }
  case FrameKind::read:
    request.names.push_back(read_name(in));
    range();
    break;
  case FrameKind::list:
    request.text = read_name(in);
    request.after = read_name(in);
    request.size = in.varint();
    if (request.size == 0 || request.size > max_page) in.fail("a list of such a length");
    break;
  case FrameKind::swap:
    request.names.push_back(read_name(in));
    request.expected = read_optional(in);
    request.desired = read_optional(in);
    break;
  case FrameKind::read_ref:
  case FrameKind::write:
    request.names.push_back(read_name(in));
    break;
  case FrameKind::read_file:
    request.text = std::string(in.sized_text(max_file_state));
    range();
    break;
  case FrameKind::clean:
  case FrameKind::stat_file:
    break;
  default:
    in.fail("a frame that is no request");
  }
  in.expect_end();
  return request;
}

Bytes encode_hello(const ClientHello& hello) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u32(hello.version);
  out.u32(hello.alive_ms);
  return bytes;
}

Bytes encode_hello(const ServerHello& hello) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u32(hello.version);
  out.sized_text(std::string_view(hello.software).substr(0, max_software));
  return bytes;
}

// A later version may add to the greeting, not take from it.
ClientHello decode_client_hello(ByteSpan payload) {
  ByteReader in(payload, what);
  ClientHello hello;
  hello.version = in.u32();
  hello.alive_ms = in.u32();
  return hello;
}

ServerHello decode_server_hello(ByteSpan payload) {
  ByteReader in(payload, what);
  ServerHello hello;
  hello.version = in.u32();
  hello.software = printable(in.sized_text(max_software));
  return hello;
}

Bytes encode_sizes(const std::vector<std::optional<std::uint64_t>>& sizes) {
  Bytes bytes;
  ByteWriter out(bytes);
  for (const auto& size : sizes) {
    out.u8(size ? 1 : 0);
    if (size) out.varint(*size);
  }
  return bytes;
}

std::vector<std::optional<std::uint64_t>> decode_sizes(ByteSpan payload, std::size_t count) {
  ByteReader in(payload, what);
  std::vector<std::optional<std::uint64_t>> sizes(count);
  for (auto& size : sizes)
    if (read_flag(in)) size = in.varint();
  in.expect_end();
  return sizes;
}

Bytes encode_page(const data::ListPage& page) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u8(page.more ? 1 : 0);
  out.varint(page.objects.size());
  for (const auto& object : page.objects) {
    out.sized_text(object.name);
    out.varint(object.size);
  }
  return bytes;
}

data::ListPage decode_page(ByteSpan payload, std::string_view prefix, std::string_view after,
                           std::size_t limit) {
  ByteReader in(payload, what);
  data::ListPage page;
  page.more = read_flag(in);
  const std::uint64_t count = in.count(2);
  if (count > limit) in.fail("a list is longer than was asked for");
  if (page.more && count == 0) in.fail("a list never ends");
  std::string last(after);
  for (std::uint64_t i = 0; i < count; ++i) {
    data::ListedObject object;
    object.name = read_name(in);
    object.size = in.varint();
    data::check_object_name(object.name);
    if (object.name <= last || !object.name.starts_with(prefix))
      in.fail("a list holds what was not asked for");
    last = object.name;
    page.objects.push_back(std::move(object));
  }
  in.expect_end();
  return page;
}

Bytes encode_ref(const std::optional<std::string>& text) {
  Bytes bytes;
  ByteWriter out(bytes);
  write_optional(out, text);
  return bytes;
}

std::optional<std::string> decode_ref(ByteSpan payload) {
  ByteReader in(payload, what);
  auto text = read_optional(in);
  in.expect_end();
  return text;
}

Bytes encode_swap(const data::SwapResult& result) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u8(result.swapped ? 1 : 0);
  write_optional(out, result.current);
  return bytes;
}

data::SwapResult decode_swap(ByteSpan payload) {
  ByteReader in(payload, what);
  data::SwapResult result;
  result.swapped = read_flag(in);
  result.current = read_optional(in);
  in.expect_end();
  return result;
}

Bytes encode_count(std::uint64_t count) {
  Bytes bytes;
  ByteWriter(bytes).varint(count);
  return bytes;
}

std::uint64_t decode_count(ByteSpan payload) {
  ByteReader in(payload, what);
  const std::uint64_t count = in.varint();
  in.expect_end();
  return count;
}

Bytes encode_file_state(const FileState& state) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.varint(state.size);
  out.sized_text(state.state);
  return bytes;
}

FileState decode_file_state(ByteSpan payload) {
  ByteReader in(payload, what);
  FileState state;
  state.size = in.varint();
  state.state = std::string(in.sized_text(max_file_state));
  in.expect_end();
  return state;
}

Bytes encode_error(const Error& error) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u8(static_cast<std::uint8_t>(exit_code(error.kind())));
  out.sized_text(std::string_view(error.message()).substr(0, max_error_text));
  write_texts(out, error.contexts());
  write_texts(out, error.hints());
  return bytes;
}

Error decode_error(ByteSpan payload) {
  ByteReader in(payload, what);
  const ErrorKind kind = kind_of_code(in.u8());
  Error error(kind, printable(in.sized_text(max_error_text)));
  const auto texts = [&](auto add) {
    const std::uint64_t count = in.count(1);
    if (count > max_error_texts) in.fail("an error has too many lines");
    for (std::uint64_t i = 0; i < count; ++i)
      add(printable(in.sized_text(max_error_text)));
  };
  texts([&](std::string text) { error.add_context(std::move(text)); });
  texts([&](std::string text) { error.add_hint(std::move(text)); });
  in.expect_end();
  return error;
}

} // namespace mlp::storage
