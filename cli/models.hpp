// What the commands about models share.
#pragma once

#include "cli/session.hpp"
#include "core/base/json_fwd.hpp"
#include "core/model/registry.hpp"

#include <string_view>

namespace mlp {

// The version that "NAME", "NAME@ALIAS", "NAME@3" or "NAME@sha256:..." means in this project.
[[nodiscard]] model::ModelVersion find_model(Session& session, std::string_view reference);

// A version as `model show --json` has it: its metadata, its reference, the aliases that point at
// it.
[[nodiscard]] Json model_json(const model::ModelRegistry& registry,
                              const model::ModelVersion& version);

} // namespace mlp
