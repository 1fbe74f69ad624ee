// Durations and sizes as people write them: a number, then a unit.
#include "core/config/settings.hpp"

#include <charconv>
#include <cmath>
#include <utility>

namespace mlp::config {

namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// The number and the rest; nullopt without a finite number at the start that is not negative.
std::optional<std::pair<double, std::string_view>> split_number(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  double number = 0;
  const auto [end, code] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (code != std::errc() || !std::isfinite(number)) return std::nullopt;
  return std::pair(number, text.substr(static_cast<std::size_t>(end - text.data())));
}

template <std::size_t N>
std::optional<double> parse_unit(std::string_view text, const Unit (&units)[N], double limit) {
  const auto parts = split_number(text);
  if (!parts) return std::nullopt;
  for (const Unit& unit : units)
    if (unit.name == parts->second) {
      const double value = parts->first * unit.factor;
      if (value > limit) return std::nullopt;
      return value;
    }
  return std::nullopt;
}

} // namespace

std::optional<std::chrono::microseconds> parse_duration(std::string_view text) {
  static constexpr Unit units[] = {{"us", 1},   {"ms", 1e3},   {"s", 1e6},
                                   {"m", 60e6}, {"h", 3600e6}, {"d", 86400e6}};
  const auto value = parse_unit(text, units, 86400e6 * 36500);
  if (!value) return std::nullopt;
  return std::chrono::microseconds(std::llround(*value));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  static constexpr Unit units[] = {{"", 1},
                                   {"B", 1},
                                   {"KB", 1e3},
                                   {"MB", 1e6},
                                   {"GB", 1e9},
                                   {"TB", 1e12},
                                   {"KiB", 1024.0},
                                   {"MiB", 1048576.0},
                                   {"GiB", 1073741824.0},
                                   {"TiB", 1099511627776.0}};
  const auto value = parse_unit(text, units, 9e15);
  if (!value || *value != std::floor(*value)) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

} // namespace mlp::config
