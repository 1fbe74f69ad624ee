// What the `mlp env` commands share: the image's environment, its packages and their versions.
#pragma once

#include "cli/command.hpp"
#include "cli/session.hpp"
#include "core/config/lock_file.hpp"

#include <string>
#include <string_view>

namespace mlp {

// Key of mlp.yaml's `image` that --system or its absence means.
[[nodiscard]] std::string_view package_key(Session& session);
[[nodiscard]] Option system_option();

// "Scikit_Learn<2" asks for "scikit-learn": PEP 503 has case, '-', '_' and '.' make no difference.
[[nodiscard]] std::string package_name(std::string_view text);

// Chooses versions for what mlp.yaml says now, builds the environment and writes mlp.lock. With
// `renew` what is pinned already is chosen anew too.
[[nodiscard]] config::ImageLock lock_environment(Session& session, bool renew);

// "numpy 1.24.2 -> 1.26.0", one line on standard error for each package that changed.
void report_changes(Session& session, const std::optional<config::ImageLock>& before,
                    const config::ImageLock& after);

// The lock as the command's result.
void emit_lock(Session& session, const config::ImageLock& lock);

} // namespace mlp
