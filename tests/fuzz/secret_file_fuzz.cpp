// Files of secrets: whatever the bytes, an integrity error or the value that was sealed; a sealed
// file in which any one bit is changed is never opened.
#include "core/base/error.hpp"
#include "core/secret/key.hpp"
#include "core/secret/sealed.hpp"

#include <cstdint>
#include <cstdlib>

using namespace mlp::secret;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_key(text);
  const Key key(Key::Bytes{7});
  const auto opens = [&](std::string_view file) {
    try {
      (void)unseal(key, "NAME", file);
      return true;
    } catch (const mlp::Error& error) {
      if (error.kind() != mlp::ErrorKind::integrity || error.hints().empty()) std::abort();
      return false;
    }
  };
  (void)opens(text);
  if (size < 3 || size > 4096) return 0;
  const std::string_view value = text.substr(2);
  std::string file = seal(key, "NAME", value);
  if (unseal(key, "NAME", file) != value) std::abort();
  const std::size_t at = (data[0] | data[1] << 8) % (file.size() * 8);
  file[at / 8] = static_cast<char>(file[at / 8] ^ (1 << at % 8));
  if (opens(file)) std::abort();
  return 0;
}
