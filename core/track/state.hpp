// The states of a run and the moves between them:
//   pending -> queued -> starting -> running -> succeeded | failed | cancelled | preempted | lost
// A run that ended other than by success may be queued again (a resume, a recovery): that is a new
// attempt of the same run. So is running -> starting: the supervisor starts a program that failed
// again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace mlp::track {

enum class RunState : std::uint8_t {
  pending,   // written down; no backend has it yet
  queued,    // a backend has it
  starting,  // its supervisor prepares data and environment
  running,   // its program runs
  succeeded, // the program ended with 0 and its outputs are kept
  failed,
  cancelled, // by a person
  preempted, // by the place that ran it
  lost,      // its supervisor is gone without a last word
};

[[nodiscard]] std::string_view state_name(RunState state) noexcept;
[[nodiscard]] std::optional<RunState> parse_state(std::string_view name) noexcept;
[[nodiscard]] std::span<const RunState> all_states() noexcept;

// Not ended: pending, queued, starting, running.
[[nodiscard]] bool is_active(RunState state) noexcept;
// True if a run in `from` may go to `to`. From any active state a run may be cancelled, fail, be
// preempted or be lost; succeeded is the end.
[[nodiscard]] bool may_follow(RunState from, RunState to) noexcept;

} // namespace mlp::track
