// Run ids from the clock and the kernel's random source.
#include "core/base/ids.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace mlp {

namespace {
constexpr std::string_view alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::string_view shape = "dddddddd-dddddd-xxxxxx";
} // namespace

std::string random_token(std::size_t length) {
  std::vector<unsigned char> bytes(length);
  std::size_t done = 0;
  while (done < length) {
    const ssize_t n = ::getrandom(bytes.data() + done, length - done, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "read", "random source");
    }
    done += static_cast<std::size_t>(n);
  }
  std::string token;
  for (const unsigned char byte : bytes)
    token += alphabet[byte & 31];
  return token;
}

std::string new_run_id(WallTime now) {
  const std::string t = format_time(now);
  return fmt::format("{}{}{}-{}{}{}-{}", t.substr(0, 4), t.substr(5, 2), t.substr(8, 2),
                     t.substr(11, 2), t.substr(14, 2), t.substr(17, 2), random_token(6));
}

bool is_run_id(std::string_view text) {
  if (text.size() != shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const char c = text[i];
    const bool ok = shape[i] == 'd'   ? c >= '0' && c <= '9'
                    : shape[i] == 'x' ? alphabet.find(c) != std::string_view::npos
                                      : c == '-';
    if (!ok) return false;
  }
  return true;
}

std::string_view run_id_second(std::string_view id) noexcept {
  return id.substr(0, sizeof("20260131-120000") - 1);
}

} // namespace mlp
