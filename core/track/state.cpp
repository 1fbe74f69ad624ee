// The table of states; the order is that of the enum.
#include "core/track/state.hpp"

#include <algorithm>
#include <array>

namespace mlp::track {

namespace {
using enum RunState;
constexpr std::array<RunState, 9> states = {pending, queued,    starting,  running, succeeded,
                                            failed,  cancelled, preempted, lost};
constexpr std::array<std::string_view, 9> names = {"pending",   "queued",    "starting",
                                                   "running",   "succeeded", "failed",
                                                   "cancelled", "preempted", "lost"};
} // namespace

std::string_view state_name(RunState state) noexcept {
  return names[static_cast<std::size_t>(state)];
}

std::optional<RunState> parse_state(std::string_view name) noexcept {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return states[static_cast<std::size_t>(found - names.begin())];
}

std::span<const RunState> all_states() noexcept {
  return states;
}

bool is_active(RunState state) noexcept {
  return state <= running;
}

bool may_follow(RunState from, RunState to) noexcept {
  if (from == succeeded) return false;
  if (!is_active(from)) return to == queued;
  if (to == succeeded) return from == running;
  if (to == starting && from == running) return true;
  return to > from; // onwards, and to any other end
}

} // namespace mlp::track
