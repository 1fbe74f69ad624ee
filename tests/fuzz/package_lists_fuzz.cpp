// Any text as what apt or pip prints: packages with digests and plain names, or an Error.
#include "core/base/error.hpp"
#include "core/image/install.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

using namespace mlp;

namespace {

void check(const std::vector<image::PackageLock>& packages) {
  for (const image::PackageLock& package : packages)
    if (package.name.empty() || package.version.empty() || package.url.empty()) __builtin_trap();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    check(image::parse_print_uris(text));
  } catch (const Error&) { // what a user would be told
  }
  try {
    check(image::parse_pip_report(text));
  } catch (const Error&) {
  }
  return 0;
}
