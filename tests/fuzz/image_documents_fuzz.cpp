// Manifest, index and configuration of an image: what is accepted is written so that it is read
// again as the same, and that text is then its only one.
#include "core/base/error.hpp"
#include "core/image/oci.hpp"

#include <cstdlib>

using namespace mlp;
using namespace mlp::image;

namespace {

template <class Parse>
void round_trip(std::string_view input, Parse parse) {
  try {
    const std::string once = to_text(parse(input, "input"));
    if (once.size() > max_document) return; // an escape may be longer than what it stands for
    if (to_text(parse(once, "own text")) != once) std::abort();
  } catch (const Error& error) {
    if (error.message().starts_with("own text")) std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  round_trip(input, parse_manifest);
  round_trip(input, parse_index);
  round_trip(input, parse_config);
  return 0;
}
