// Any bytes as an IDX file, gzip or not: they are read or refused with an Error, and a header
// allocates no more than the file holds.
#include "core/base/error.hpp"
#include "core/train/idx.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

using namespace mlp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const char> bytes(reinterpret_cast<const char*>(data), size);
  try {
    const train::IdxFile file = train::read_idx(train::memory_source(bytes, "fuzz.idx"));
    std::size_t count = 1;
    for (const std::int64_t side : file.shape)
      count *= static_cast<std::size_t>(side);
    if (count != file.data.size()) __builtin_trap();
  } catch (const Error&) { // what a user would be told
  }
  return 0;
}
