// What the commands about secrets share.
#pragma once

#include "cli/session.hpp"
#include "core/secret/store.hpp"

namespace mlp {

// The user's secrets, with the key that the settings name.
[[nodiscard]] secret::SecretStore secret_store(Session& session);

} // namespace mlp
