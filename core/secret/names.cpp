// The one rule for names of secrets.
#include "core/secret/names.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp::secret {

bool is_valid_secret_name(std::string_view name) noexcept {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  constexpr std::string_view digits = "0123456789";
  if (name.empty() || name.size() > 128 || name.starts_with("MLP_")) return false;
  if (digits.find(name.front()) != std::string_view::npos) return false;
  for (const char c : name)
    if (letters.find(c) == std::string_view::npos && digits.find(c) == std::string_view::npos)
      return false;
  return true;
}

void check_secret_name(std::string_view name) {
  if (is_valid_secret_name(name)) return;
  throw Error(ErrorKind::usage,
              fmt::format("'{}' is no name for a secret", printable(name.substr(0, 60))))
      .with_hint("a name is that of an environment variable: letters, digits and '_', at most 128, "
                 "not beginning with a digit or MLP_");
}

} // namespace mlp::secret
