// What the commands about sweeps share: finding one, driving it in the foreground or detached, and
// a sweep as text and JSON.
#pragma once

#include "cli/session.hpp"
#include "core/base/json_fwd.hpp"
#include "core/sweep/sweep_folder.hpp"

#include <string_view>

namespace mlp {

// By "latest", its name in mlp.yaml, or any part of its id; see sweep::find_sweep.
[[nodiscard]] sweep::SweepFolder find_sweep_folder(Session& session, std::string_view reference);

// Drives a sweep here, shows each trial that ends, and reports the best; or, with --detach, leaves
// that to a process of its own and prints the sweep's id. Throws what sweep::drive_sweep() throws,
// and Error(interrupted) that says how to go on if the sweep was stopped.
void drive_or_detach(Session& session, const sweep::SweepFolder& folder);

// "-" if there is none; as many digits as tell trials apart.
[[nodiscard]] std::string objective_text(const std::optional<double>& value);
// "lr=0.01 units=64"
[[nodiscard]] std::string params_text(const sweep::SweepTrial& trial);

// The trials in the order of `show`: the best first; then those that were stopped, the later the
// better; then those that run; then those that failed.
[[nodiscard]] std::vector<sweep::SweepTrial> ranked_trials(const sweep::SweepRecord& sweep);

// The record of `sweep show --json` and `sweep run --json`.
[[nodiscard]] Json sweep_json(const sweep::SweepRecord& sweep);

} // namespace mlp
