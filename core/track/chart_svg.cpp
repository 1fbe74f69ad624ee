// Charts as SVG: grid, axes, one path a series, and the legend below.
// Source: SVG 1.1 (W3C, 2011).
#include "core/base/text.hpp"
#include "core/track/chart_style.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mlp::track {

namespace {

// printable() has dealt with control characters; of the rest XML cannot hold U+FFFE and U+FFFF.
std::string xml(std::string_view text) {
  std::string shown = printable(text);
  for (const char* never : {"\xef\xbf\xbe", "\xef\xbf\xbf"})
    for (std::size_t at = 0; (at = shown.find(never, at)) != std::string::npos;)
      shown.replace(at, 3, "?");
  std::string out;
  for (const char c : shown) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    default:
      out += c;
    }
  }
  return out;
}

std::string stroke(std::size_t series) {
  std::string out = fmt::format("fill=\"none\" stroke=\"#{:06x}\" stroke-width=\"{}\"",
                                chart_color(series), chart_line_width);
  std::string dash;
  for (const double length : chart_dash(series))
    if (length > 0) dash += fmt::format("{}{}", dash.empty() ? "" : " ", length);
  if (!dash.empty()) out += fmt::format(" stroke-dasharray=\"{}\"", dash);
  return out;
}

std::string path(const ChartSeries& series, const ChartFrame& frame, const ChartArea& area) {
  std::string out;
  bool joined = false;
  for (const ChartPoint& point : chart_points(series, area)) {
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) {
      joined = false;
      continue;
    }
    const double x = area.left + frame.across(point.x) * area.width;
    const double y = area.top + (1 - frame.up(point.y)) * area.height;
    // A point alone is a line of no length, which round ends make a dot.
    out += fmt::format("{}{:.2f} {:.2f}", joined ? "L" : "M", x, y);
    if (!joined) out += fmt::format("L{:.2f} {:.2f}", x, y);
    joined = true;
  }
  return out;
}

} // namespace

std::string svg_chart(const std::vector<ChartSeries>& series, const ChartOptions& options) {
  const double width = static_cast<double>(std::clamp<std::size_t>(options.width, 200, 20'000));
  const double height = static_cast<double>(std::clamp<std::size_t>(options.height, 120, 20'000));
  const double whole = height + chart_legend_line * static_cast<double>(series.size()) + 6;
  const ChartFrame frame = chart_frame_for(series, width, height);
  const ChartArea area = chart_area(width, height);
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<title>{2}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
      "<text x=\"{3:.0f}\" y=\"22\" font-size=\"15\" text-anchor=\"middle\">{2}</text>\n",
      width, whole, xml(options.title), width / 2);
  const double bottom = area.bottom();
  out += "<g stroke=\"#dddddd\" fill=\"#333333\">\n";
  for (const double tick : frame.x_ticks) {
    const double x = area.left + frame.across(tick) * area.width;
    out += fmt::format("<path d=\"M{0:.2f} {1:.2f}V{2:.2f}\"/><text x=\"{0:.2f}\" y=\"{3:.2f}\" "
                       "stroke=\"none\" text-anchor=\"middle\">{4}</text>\n",
                       x, area.top, bottom, bottom + 16, tick_text(tick, frame.x_step));
  }
  for (const double tick : frame.y_ticks) {
    const double y = area.top + (1 - frame.up(tick)) * area.height;
    out += fmt::format("<path d=\"M{0:.2f} {1:.2f}H{2:.2f}\"/><text x=\"{3:.2f}\" y=\"{4:.2f}\" "
                       "stroke=\"none\" text-anchor=\"end\">{5}</text>\n",
                       area.left, y, area.right(), area.left - 6, y + 4,
                       tick_text(tick, frame.y_step));
  }
  out += fmt::format("</g>\n<path d=\"M{:.2f} {:.2f}V{:.2f}H{:.2f}\" fill=\"none\" "
                     "stroke=\"#333333\"/>\n",
                     area.left, area.top, bottom, area.right());
  out += fmt::format("<text x=\"{:.2f}\" y=\"{:.2f}\" text-anchor=\"middle\">{}</text>\n",
                     area.left + area.width / 2, bottom + 36, xml(options.x_label));
  out += "<g stroke-linejoin=\"round\" stroke-linecap=\"round\">\n";
  for (std::size_t i = 0; i < series.size(); ++i)
    if (const std::string d = path(series[i], frame, area); !d.empty())
      out += fmt::format("<path {} d=\"{}\"/>\n", stroke(i), d);
  out += "</g>\n";
  for (std::size_t i = 0; i < series.size(); ++i) {
    const double y = height + chart_legend_line * static_cast<double>(i);
    out +=
        fmt::format("<path {} d=\"M{:.2f} {:.2f}h28\"/><text x=\"{:.2f}\" y=\"{:.2f}\">{}</text>\n",
                    stroke(i), area.left, y, area.left + 36, y + 4, xml(series[i].label));
  }
  return out + "</svg>\n";
}

} // namespace mlp::track
