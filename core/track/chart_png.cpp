// Charts as PNG: what chart_svg.cpp describes, drawn.
#include "core/base/text.hpp"
#include "core/track/chart_style.hpp"
#include "core/track/picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace mlp::track {

namespace {

constexpr std::size_t most_pixels = 4000; // a side
constexpr std::size_t most_in_legend = 40;

// Cut to what has room, with "..." if there is more.
std::string fitted(std::string_view text, double size, double width) {
  std::string shown = printable(text);
  if (Picture::text_width(shown, size) <= width) return shown;
  const auto cut = [&](std::size_t columns) {
    return std::string(fit_width(shown, columns)) + "...";
  };
  std::size_t fits = 0, too_many = most_pixels; // of columns
  while (fits + 1 < too_many) {
    const std::size_t middle = (fits + too_many) / 2;
    (Picture::text_width(cut(middle), size) <= width ? fits : too_many) = middle;
  }
  return cut(fits);
}

// On the middle of a pixel, where a thin line is sharpest.
double sharp(double place) {
  return std::floor(place) + 0.5;
}

void draw_axes(Picture& picture, const ChartFrame& frame, const ChartArea& area) {
  const Pen grid{chart_grid_color};
  const auto line = [&](PicturePoint from, PicturePoint to) {
    picture.stroke(std::array{from, to}, grid);
  };
  for (const double tick : frame.x_ticks) {
    const double x = sharp(area.left + frame.across(tick) * area.width);
    line({x, area.top}, {x, area.bottom()});
    picture.text({x, area.bottom() + 16}, tick_text(tick, frame.x_step), chart_font_size,
                 chart_ink_color, Align::middle);
  }
  for (const double tick : frame.y_ticks) {
    const double y = sharp(area.top + (1 - frame.up(tick)) * area.height);
    line({area.left, y}, {area.right(), y});
    picture.text({area.left - 6, y + 4}, tick_text(tick, frame.y_step), chart_font_size,
                 chart_ink_color, Align::right);
  }
  const double left = sharp(area.left), bottom = sharp(area.bottom());
  picture.stroke(
      std::array<PicturePoint, 3>{{{left, area.top}, {left, bottom}, {area.right(), bottom}}},
      {chart_ink_color});
}

Pen pen_of(std::size_t series) {
  const ChartDash& dash = chart_dash(series);
  const auto used = static_cast<std::size_t>(
      std::count_if(dash.begin(), dash.end(), [](double length) { return length > 0; }));
  return {chart_color(series), chart_line_width, std::span(dash).first(used)};
}

void draw_curve(Picture& picture, const ChartSeries& series, const Pen& pen,
                const ChartFrame& frame, const ChartArea& area) {
  std::vector<PicturePoint> part;
  const auto end_part = [&] {
    if (!part.empty()) picture.stroke(part, pen);
    part.clear();
  };
  for (const ChartPoint& point : chart_points(series, area)) {
    if (std::isfinite(point.x) && std::isfinite(point.y))
      part.push_back({area.left + frame.across(point.x) * area.width,
                      area.top + (1 - frame.up(point.y)) * area.height});
    else
      end_part();
  }
  end_part();
}

} // namespace

std::string png_chart(const std::vector<ChartSeries>& series, const ChartOptions& options) {
  const std::size_t width = std::clamp<std::size_t>(options.width, 200, most_pixels);
  const std::size_t height = std::clamp<std::size_t>(options.height, 120, most_pixels);
  const std::size_t named = std::min(series.size(), most_in_legend);
  const std::size_t lines = named + (named < series.size() ? 1 : 0);
  Picture picture(width, height + lines * static_cast<std::size_t>(chart_legend_line) + 6);
  const auto wide = static_cast<double>(width), high = static_cast<double>(height);
  const ChartFrame frame = chart_frame_for(series, wide, high);
  const ChartArea area = chart_area(wide, high);
  picture.text({wide / 2, 22}, fitted(options.title, chart_title_size, wide - 20), chart_title_size,
               0, Align::middle);
  draw_axes(picture, frame, area);
  picture.text({area.left + area.width / 2, area.bottom() + 36},
               fitted(options.x_label, chart_font_size, area.width), chart_font_size, 0,
               Align::middle);
  for (std::size_t i = 0; i < series.size(); ++i)
    draw_curve(picture, series[i], pen_of(i), frame, area);
  const double text_left = area.left + 36;
  for (std::size_t i = 0; i < lines; ++i) {
    const double y = high + chart_legend_line * static_cast<double>(i);
    std::string label = fmt::format("and {} more", series.size() - named);
    if (i < named) {
      const double middle = sharp(y);
      picture.stroke(std::array<PicturePoint, 2>{{{area.left, middle}, {area.left + 28, middle}}},
                     pen_of(i));
      label = fitted(series[i].label, chart_font_size, wide - text_left - 10);
    }
    picture.text({text_left, y + 4}, label, chart_font_size, 0);
  }
  return picture.png();
}

} // namespace mlp::track
