// Bytes from the other end of an ssh: remote, taken as requests and as answers: they are read or
// refused, and what is read is written again as it was.
#include "backends/storage/ssh/wire.hpp"
#include "core/base/error.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace mlp;
using namespace mlp::storage;

namespace {

void must_be(const data::Bytes& written, data::ByteSpan read) {
  if (!std::equal(written.begin(), written.end(), read.begin(), read.end())) std::abort();
}

template <class Body>
void try_to(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.message().empty()) std::abort();
  }
}

void decode_all(FrameKind kind, data::ByteSpan payload) {
  try_to([&] { must_be(encode_request(decode_request(kind, payload)), payload); });
  try_to([&] { must_be(encode_sizes(decode_sizes(payload, 3)), payload); });
  try_to([&] {
    const auto page = decode_page(payload, "a", "a/b", 5);
    if (page.objects.size() > 5) std::abort();
    must_be(encode_page(page), payload);
  });
  try_to([&] { must_be(encode_ref(decode_ref(payload)), payload); });
  try_to([&] { must_be(encode_swap(decode_swap(payload)), payload); });
  try_to([&] { must_be(encode_count(decode_count(payload)), payload); });
  try_to([&] { must_be(encode_file_state(decode_file_state(payload)), payload); });
  try_to([&] { (void)decode_error(payload); });
  try_to([&] { (void)decode_client_hello(payload); });
  try_to([&] { (void)decode_server_hello(payload); });
}

} // namespace

// The first byte says how the rest is chopped into pieces of a stream.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 64u << 10) return 0;
  const std::size_t step = data[0] + std::size_t{1};
  const data::ByteSpan stream = std::as_bytes(std::span(data + 1, size - 1));
  FrameReader reader;
  data::Bytes payload;
  try_to([&] {
    for (std::size_t at = 0; at < stream.size(); at += step) {
      data::ByteSpan bytes = stream.subspan(at, std::min(step, stream.size() - at));
      while (const auto piece = reader.next(bytes)) {
        payload.insert(payload.end(), piece->bytes.begin(), piece->bytes.end());
        if (payload.size() > piece->header.size) std::abort();
        if (!piece->last) continue;
        if (payload.size() != piece->header.size) std::abort();
        decode_all(piece->header.kind, payload);
        payload.clear();
      }
      if (!bytes.empty()) std::abort();
    }
  });
  return 0;
}
