// Manifests and their nodes: what is accepted must be the only encoding of what it means.
#include "core/base/error.hpp"
#include "core/data/manifest.hpp"

#include <algorithm>
#include <cstdlib>

using namespace mlp;
using namespace mlp::data;

namespace {

template <class Decode, class Encode>
void round_trip(ByteSpan input, Decode decode, Encode encode) {
  try {
    const Bytes again = encode(decode(input));
    if (!std::equal(again.begin(), again.end(), input.begin(), input.end())) std::abort();
  } catch (const Error&) {
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan input = std::as_bytes(std::span(data, size));
  round_trip(input, decode_manifest, encode_manifest);
  round_trip(input, decode_tree, encode_tree);
  round_trip(input, decode_list, encode_list);
  return 0;
}
