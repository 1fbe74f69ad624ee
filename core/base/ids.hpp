// Identifiers of runs: sortable by time, short enough to type, unique without coordination.
#pragma once

#include "core/base/time.hpp"

#include <string>
#include <string_view>

namespace mlp {

// "20260131-120000-k3f9qx": UTC second, then 30 random bits in lower-case base 32 (Crockford's
// alphabet). Any unique part of it names the run on the command line.
[[nodiscard]] std::string new_run_id(WallTime now);
[[nodiscard]] bool is_run_id(std::string_view text);
// The part of a run's id that sorts by time: "20260131-120000".
[[nodiscard]] std::string_view run_id_second(std::string_view id) noexcept;

// `length` characters of the same alphabet from the kernel's random source.
[[nodiscard]] std::string random_token(std::size_t length);

} // namespace mlp
