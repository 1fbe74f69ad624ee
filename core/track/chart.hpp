// Curves of metrics, drawn with characters for a terminal, or as SVG or PNG for a report. Pure
// functions of their arguments; thread-safe. Source of the ticks: P. Heckbert, Nice Numbers for
// Graph Labels, Graphics Gems (1990).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::track {

struct ChartPoint {
  double x = 0, y = 0;
  bool operator==(const ChartPoint&) const = default;
};

struct ChartSeries {
  std::string label;
  std::vector<ChartPoint> points; // joined in this order; one that is not finite breaks the line
};

// Round numbers (1, 2 or 5 times a power of ten apart) that cover [low, high], at least two and,
// where `count` is 3 or more, at most `count`. Ends that are equal are moved apart first.
[[nodiscard]] std::vector<double> nice_ticks(double low, double high, std::size_t count);
// As short as it can be while neighbours `step` apart still differ: "0.25", "12000", "3e-07".
[[nodiscard]] std::string tick_text(double value, double step);

// At most about `limit` of the points, in their order, with the least and the greatest of each
// stretch among them, so that no spike gets lost.
[[nodiscard]] std::vector<ChartPoint> thin_out(const std::vector<ChartPoint>& points,
                                               std::size_t limit);

struct ChartOptions {
  std::string title, x_label;
  std::size_t width = 80, height = 23; // columns and lines, or for files pixels
  bool color = false;                  // terminal escapes
  bool unicode = true;                 // braille and box drawing; else ASCII
};

// Lines, each with its newline, of at most width x height (or 24 x 8, if that is more): title,
// curves in axes, and a legend that names each series by a letter which also stands on its curve.
// What does not fit into the legend is counted on its last line. Escapes nothing but control
// characters.
[[nodiscard]] std::string terminal_chart(const std::vector<ChartSeries>& series,
                                         const ChartOptions& options);

// A whole SVG 1.1 document, well-formed for any labels. Series differ by colour and, beyond eight,
// by dashes too. The legend is below, so the document is taller than `height` by a line a series.
[[nodiscard]] std::string svg_chart(const std::vector<ChartSeries>& series,
                                    const ChartOptions& options);

// The same as a PNG file. Text is drawn by lines of our own: characters beyond ASCII are empty
// boxes. Of many series the legend names the first 40. Sides of more than 4,000 pixels are cut to
// that.
[[nodiscard]] std::string png_chart(const std::vector<ChartSeries>& series,
                                    const ChartOptions& options);

// What all draw in. The first and last tick of y are its axis' ends; those of x lie within its
// ends, which are the first and last x that there is.
struct ChartFrame {
  std::vector<double> x_ticks, y_ticks;
  double x_low = 0, x_high = 1;
  double x_step = 1, y_step = 1; // between ticks
  // Where a value lies between the ends, from 0 to 1.
  [[nodiscard]] double across(double x) const;
  [[nodiscard]] double up(double y) const;
};
[[nodiscard]] ChartFrame chart_frame(const std::vector<ChartSeries>& series, std::size_t x_count,
                                     std::size_t y_count);

} // namespace mlp::track
