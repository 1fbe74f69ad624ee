// What the commands of `mlp config` share: a setting as a record, its completion, a name checked.
#pragma once

#include "cli/command.hpp"
#include "core/base/json_fwd.hpp"
#include "core/config/settings.hpp"

#include <string_view>
#include <vector>

namespace mlp {

// {key, value, source, origin, default, description, environment, option}; the value has its type.
[[nodiscard]] Json setting_record(const config::Settings& settings, std::string_view key);

// Throws Error(not_found) with the nearest key.
void require_setting(std::string_view key);

std::vector<Candidate> complete_settings(Session&);

} // namespace mlp
