// Wall-clock instants as they stand in journals, and how people read durations.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlp {

using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

[[nodiscard]] WallTime wall_now();

// RFC 3339 in UTC with milliseconds: "2026-01-31T12:00:00.250Z".
[[nodiscard]] std::string format_time(WallTime time);
[[nodiscard]] std::optional<WallTime> parse_time(std::string_view text);
// For tables: "just now", "5 min ago", "3 h ago", "12 d ago".
[[nodiscard]] std::string format_age(WallTime time, WallTime now);

// "850 ms", "12.3 s", "4 min 10 s", "2 h 5 min", "3 d 4 h"; "-" if it is not a number or beyond a
// thousand years.
[[nodiscard]] std::string format_duration(std::chrono::duration<double> duration);

} // namespace mlp
