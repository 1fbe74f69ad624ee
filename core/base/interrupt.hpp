// SIGINT and SIGTERM as a stop token: long work polls it, and cleans up as it unwinds.
#pragma once

#include <stop_token>

namespace mlp {

// Installs handlers, once per process. The first signal stops the token, from a thread of its own,
// so that callbacks may do anything; a second one, of either kind, ends the process at once with
// 128 + its number.
[[nodiscard]] std::stop_token interrupt_token();

// The signal that came, or 0.
[[nodiscard]] int interrupt_signal() noexcept;

// Throws Error(interrupted) if `token` has been stopped.
void throw_if_stopped(const std::stop_token& token);

} // namespace mlp
