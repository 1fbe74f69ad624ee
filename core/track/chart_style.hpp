// How charts in files look, whatever their format: places, colours and dashes.
// Source: colours of M. Okabe and K. Ito that colour-blind readers tell apart.
#pragma once

#include "core/track/chart.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace mlp::track {

inline constexpr std::array<std::uint32_t, 8> chart_colors = {0x0072b2, 0xd55e00, 0x009e73,
                                                              0xcc79a7, 0xe69f00, 0x56b4e9,
                                                              0x000000, 0xb3a300}; // red green blue
inline constexpr std::uint32_t chart_grid_color = 0xdddddd, chart_ink_color = 0x333333;
inline constexpr double chart_line_width = 1.6; // pixels, as all lengths here
inline constexpr double chart_legend_line = 18, chart_font_size = 12, chart_title_size = 15;

// Lengths of drawn and blank parts in turn; zeros at the end count for nothing.
using ChartDash = std::array<double, 4>;
inline constexpr std::array<ChartDash, 4> chart_dashes = {{{}, {6, 3}, {2, 2}, {8, 3, 2, 3}}};

[[nodiscard]] inline std::uint32_t chart_color(std::size_t series) {
  return chart_colors[series % chart_colors.size()];
}
[[nodiscard]] inline const ChartDash& chart_dash(std::size_t series) {
  return chart_dashes[series / chart_colors.size() % chart_dashes.size()];
}

// Of a picture without its legend: where the curves are.
struct ChartArea {
  double left, top, width, height;
  [[nodiscard]] double right() const { return left + width; }
  [[nodiscard]] double bottom() const { return top + height; }
};
[[nodiscard]] inline ChartArea chart_area(double width, double height) {
  return {70, 36, width - 90, height - 86};
}
// Ticks that have room.
[[nodiscard]] inline ChartFrame chart_frame_for(const std::vector<ChartSeries>& series,
                                                double width, double height) {
  return chart_frame(series, static_cast<std::size_t>(width / 80),
                     static_cast<std::size_t>(height / 50));
}
// The points of a curve that can be seen: two a pixel, with every spike.
[[nodiscard]] inline std::vector<ChartPoint> chart_points(const ChartSeries& series,
                                                          const ChartArea& area) {
  return thin_out(series.points, static_cast<std::size_t>(std::max(area.width, 100.0)) * 4);
}

} // namespace mlp::track
