// What `mlp log metric|param|tag` have in common: a line of $MLP_METRICS, from within a run.
#pragma once

#include "core/base/json_fwd.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace mlp {

// Appends the record. Throws Error(usage), which names `command`, if MLP_METRICS is not set.
void report(const Json& record, std::string_view command);

// "lr=0.1" as its two parts. Throws Error(usage) that shows `form` and an example, unless there is
// a '=' behind a name of 1 to 250 bytes.
[[nodiscard]] std::pair<std::string, std::string>
name_and_value(const std::string& word, std::string_view form, std::string_view example);

} // namespace mlp
