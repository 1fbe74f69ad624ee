// Scales of charts, and fewer points with the same look.
#include "core/track/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace mlp::track {

namespace {

// The step next above or at `raw`.
double nice_step(double raw) {
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power * (1 + 1e-9)) return factor * power;
  return 10 * power;
}

double next_step(double step) {
  return nice_step(step * 1.5);
}

double between(double low, double high, double value) {
  // Halves first: the difference of two huge numbers may be infinite.
  return (value / 2 - low / 2) / (high / 2 - low / 2);
}

bool is_drawn(const ChartPoint& point) {
  return std::isfinite(point.x) && std::isfinite(point.y);
}

} // namespace

std::vector<double> nice_ticks(double low, double high, std::size_t count) {
  constexpr double largest = std::numeric_limits<double>::max() / 16;
  low = std::clamp(low, -largest, largest);
  high = std::clamp(high, -largest, largest);
  if (high < low) std::swap(low, high);
  // Closer than doubles tell apart at several ticks: as if they were equal.
  const double size = std::max(std::abs(low), std::abs(high));
  if (high - low <= size * 1e-12 || high - low < 1e-300) {
    const double apart = size < 1e-290 ? 1.0 : size * 0.1;
    low -= apart;
    high += apart;
  }
  const std::size_t intervals = std::max<std::size_t>(count, 3) - 1;
  double step = nice_step((high - low) / static_cast<double>(intervals));
  double first = 0, last = 0;
  while (true) {
    first = std::floor(low / step + 1e-9);
    last = std::ceil(high / step - 1e-9);
    if (last - first <= static_cast<double>(intervals)) break;
    const double wider = next_step(step);
    // Two intervals always do where zero lies within; else growth comes to one.
    if (last - first <= 2 || !std::isfinite(wider)) break;
    step = wider;
  }
  if (last <= first) last = first + 1;
  std::vector<double> ticks;
  for (double i = first; i <= last; ++i)
    ticks.push_back(i * step);
  return ticks;
}

std::string tick_text(double value, double step) {
  if (std::abs(value) < step * 1e-6) value = 0;
  const double size = std::max(std::abs(value), step);
  if (size >= 1e7 || step < 1e-5) {
    const int digits =
        static_cast<int>(std::floor(std::log10(size)) - std::floor(std::log10(step)));
    return value == 0 ? "0" : fmt::format("{:.{}e}", value, std::clamp(digits, 0, 15));
  }
  const int decimals = std::clamp(static_cast<int>(-std::floor(std::log10(step) + 1e-9)), 0, 15);
  return fmt::format("{:.{}f}", value, decimals);
}

std::vector<ChartPoint> thin_out(const std::vector<ChartPoint>& points, std::size_t limit) {
  const std::size_t stretches = std::max<std::size_t>(1, limit / 4);
  if (points.size() <= std::max<std::size_t>(limit, 4)) return points;
  std::vector<ChartPoint> out;
  for (std::size_t s = 0; s < stretches; ++s) {
    const std::size_t begin = s * points.size() / stretches;
    const std::size_t end = (s + 1) * points.size() / stretches;
    if (begin == end) continue;
    std::size_t least = begin, greatest = begin;
    for (std::size_t i = begin; i < end; ++i) {
      if (!(points[least].y <= points[i].y)) least = i; // also away from one that is no number
      if (!(points[greatest].y >= points[i].y)) greatest = i;
    }
    std::size_t kept[] = {begin, least, greatest, end - 1};
    std::ranges::sort(kept);
    for (std::size_t i = 0; i < 4; ++i)
      if (i == 0 || kept[i] != kept[i - 1]) out.push_back(points[kept[i]]);
  }
  return out;
}

double ChartFrame::across(double x) const {
  return between(x_low, x_high, x);
}
double ChartFrame::up(double y) const {
  return between(y_ticks.front(), y_ticks.back(), y);
}

ChartFrame chart_frame(const std::vector<ChartSeries>& series, std::size_t x_count,
                       std::size_t y_count) {
  bool any = false;
  ChartPoint low, high;
  for (const ChartSeries& one : series)
    for (const ChartPoint& point : one.points) {
      if (!is_drawn(point)) continue;
      if (!any) low = high = point;
      any = true;
      low = {std::min(low.x, point.x), std::min(low.y, point.y)};
      high = {std::max(high.x, point.x), std::max(high.y, point.y)};
    }
  if (!any) high = {1, 1};
  ChartFrame frame;
  frame.y_ticks = nice_ticks(low.y, high.y, y_count);
  frame.y_step = frame.y_ticks[1] - frame.y_ticks[0];
  frame.x_ticks = nice_ticks(low.x, high.x, x_count);
  // One x alone is put in the middle of ticks around it.
  const double whole = frame.x_ticks.back() - frame.x_ticks.front();
  const bool wide = high.x - low.x > whole * 0.01;
  frame.x_low = wide ? low.x : frame.x_ticks.front();
  frame.x_high = wide ? high.x : frame.x_ticks.back();
  const auto keep_within = [&] {
    frame.x_step = frame.x_ticks[1] - frame.x_ticks[0];
    const double slack = frame.x_step * 1e-6;
    std::erase_if(frame.x_ticks, [&](double tick) {
      return tick < frame.x_low - slack || tick > frame.x_high + slack;
    });
  };
  keep_within();
  for (std::size_t more = 1; wide && frame.x_ticks.size() < 2 && more < 6; ++more) {
    frame.x_ticks = nice_ticks(low.x, high.x, x_count + more);
    keep_within();
  }
  return frame;
}

} // namespace mlp::track
