// The AWS shared files, which other programs and people write.
#include "core/base/error.hpp"
#include "core/net/ini.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& [section, values] : mlp::net::parse_ini(text, "fuzz"))
      for (const auto& [key, value] : values)
        if (key.empty() || value.find('\n') != std::string::npos) std::abort();
  } catch (const mlp::Error& error) {
    if (error.message().empty()) std::abort();
  }
  return 0;
}
