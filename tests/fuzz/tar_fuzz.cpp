// Any bytes as a tar archive: entries are read or refused with an Error; what is read of a file is
// no more than its header says.
#include "core/base/error.hpp"
#include "core/base/tar.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

using namespace mlp;

namespace {
constexpr std::uint64_t most_read = 1u << 20;
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::span<const std::uint8_t> rest(data, size);
  TarReader tar(
      [&](std::span<std::byte> into) {
        const std::size_t n = std::min(into.size(), rest.size());
        std::memcpy(into.data(), rest.data(), n);
        rest = rest.subspan(n);
        return n;
      },
      "fuzz.tar");
  try {
    while (const auto entry = tar.next()) {
      if (entry->path.size() > (64u << 10) || entry->target.size() > (64u << 10)) __builtin_trap();
      if (entry->kind != TarEntry::Kind::file && entry->size != 0) __builtin_trap();
      std::array<std::byte, 1000> buffer{};
      std::uint64_t read = 0;
      while (read < most_read) { // a hole may be large
        const std::size_t n = tar.read(buffer);
        if (n == 0) break;
        read += n;
      }
      if (read < most_read && read != entry->size) __builtin_trap();
    }
  } catch (const Error&) { // what a user would be told
  }
  return 0;
}
