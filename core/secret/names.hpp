// What a secret may be called: it becomes an environment variable of that name.
#pragma once

#include <string_view>

namespace mlp::secret {

// [A-Za-z_][A-Za-z0-9_]{0,127}, and not MLP_..., which are mlp's own variables.
[[nodiscard]] bool is_valid_secret_name(std::string_view name) noexcept;

// Throws Error(usage) that says what is allowed.
void check_secret_name(std::string_view name);

} // namespace mlp::secret
