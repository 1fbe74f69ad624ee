// Scales of charts, and charts that stay within their bounds whatever is drawn.
#include "core/base/text.hpp"
#include "core/track/chart.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace mlp;
using namespace mlp::track;

namespace {

using Numbers = std::vector<double>;
constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double largest = std::numeric_limits<double>::max();

std::string labels(double low, double high, std::size_t count) {
  const Numbers ticks = nice_ticks(low, high, count);
  std::string out;
  for (const double tick : ticks)
    out += tick_text(tick, ticks[1] - ticks[0]) + " ";
  return out;
}

ChartSeries curve(std::string label, Numbers values) {
  ChartSeries series{std::move(label), {}};
  for (std::size_t i = 0; i < values.size(); ++i)
    series.points.push_back({static_cast<double>(i + 1), values[i]});
  return series;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines = split(text, '\n');
  REQUIRE(lines.back().empty());
  lines.pop_back();
  return lines;
}

} // namespace

TEST_CASE("ticks are round numbers that cover the range", "[track]") {
  CHECK(labels(0, 1, 6) == "0.0 0.2 0.4 0.6 0.8 1.0 ");
  CHECK(labels(0.03, 0.97, 3) == "0.0 0.5 1.0 ");
  CHECK(labels(1, 20, 6) == "0 5 10 15 20 ");
  CHECK(labels(-3, 7, 5) == "-5 0 5 10 ");
  CHECK(labels(0, 60'000, 5) == "0 20000 40000 60000 ");
  CHECK(labels(1e-7, 3e-7, 4) == "1e-07 2e-07 3e-07 ");
  CHECK(labels(0.97, 0.975, 6) == "0.970 0.971 0.972 0.973 0.974 0.975 ");
  CHECK(labels(2e9, 4e9, 3) == "2e+09 3e+09 4e+09 ");
}

TEST_CASE("a range without extent, or without end, still has ticks apart", "[track]") {
  CHECK(labels(5, 5, 3) == "4.5 5.0 5.5 ");
  CHECK(labels(0, 0, 3) == "-1 0 1 ");
  const Numbers ends = {0,     1,       -1,       1e-320,   1e-12,    1 + 1e-15,
                        1e300, largest, -largest, infinite, -infinite};
  for (const double low : ends)
    for (const double high : ends)
      for (const std::size_t count : {0u, 3u, 8u}) {
        const Numbers ticks = nice_ticks(low, high, count);
        CAPTURE(low, high, count);
        REQUIRE(ticks.size() >= 2);
        CHECK(ticks.size() <= std::max<std::size_t>(count, 3));
        for (std::size_t i = 1; i < ticks.size(); ++i)
          CHECK(ticks[i] > ticks[i - 1]);
        CHECK(std::isfinite(ticks.front()));
        CHECK(std::isfinite(ticks.back()));
      }
}

TEST_CASE("thinning keeps both ends, the order and every peak", "[track]") {
  std::vector<ChartPoint> points;
  for (int i = 0; i < 100'000; ++i)
    points.push_back({static_cast<double>(i), std::sin(i * 0.001)});
  points[77'777].y = 50;
  points[12'345].y = -50;
  const std::vector<ChartPoint> thin = thin_out(points, 400);
  CHECK(thin.size() <= 400);
  CHECK(thin.front() == points.front());
  CHECK(thin.back() == points.back());
  CHECK(std::ranges::find(thin, points[77'777]) != thin.end());
  CHECK(std::ranges::find(thin, points[12'345]) != thin.end());
  CHECK(std::ranges::is_sorted(thin, {}, &ChartPoint::x));
  CHECK(thin_out(thin, 400) == thin);
}

TEST_CASE("a curve goes from corner to corner of its axes", "[track]") {
  ChartOptions options{"loss", "step", 24, 9, false, false};
  CHECK(terminal_chart({curve("run", {0, 1, 2, 3, 4, 5})}, options) == "loss\n"
                                                                       "5 +                  ***\n"
                                                                       "  |              ****\n"
                                                                       "  |      ********\n"
                                                                       "  |  ****\n"
                                                                       "0 +**\n"
                                                                       "  +----+-------+-------+\n"
                                                                       "       2       4       6\n"
                                                                       "  run\n");
}

TEST_CASE("no line of a chart is too long, nor are there too many of them", "[track]") {
  std::vector<ChartSeries> many;
  for (int i = 0; i < 60; ++i)
    many.push_back(curve(fmt::format("run {} {}", i, std::string(200, 'x')),
                         {0.1 * i, std::nan(""), 3, infinite, -1e9, 4, largest, -largest}));
  for (const std::size_t width : {0u, 24u, 80u, 211u})
    for (const std::size_t height : {0u, 8u, 23u, 60u})
      for (const bool unicode : {false, true})
        for (const std::size_t count : {1u, 2u, 60u}) {
          const std::vector<ChartSeries> series(many.begin(),
                                                many.begin() + static_cast<long>(count));
          const ChartOptions options{std::string(300, 't'), "step", width, height, false, unicode};
          const std::vector<std::string> lines = lines_of(terminal_chart(series, options));
          CAPTURE(width, height, unicode, count);
          CHECK(lines.size() <= std::max<std::size_t>(height, 8));
          for (const std::string& line : lines)
            CHECK(display_width(line) <= std::max<std::size_t>(width, 24));
        }
}

TEST_CASE("letters tell curves apart without colour, and escapes come only with it", "[track]") {
  const std::vector<ChartSeries> series = {curve("first", {1, 2, 3}),
                                           curve("second\x1b[2J", {3, 2, 1})};
  ChartOptions options{"m", "", 60, 16, false, true};
  const std::string plain = terminal_chart(series, options);
  CHECK(plain.find('\x1b') == std::string::npos);
  CHECK(plain.find("  a  first\n  b  second\\x1b[2J\n") != std::string::npos);
  const std::string curves = plain.substr(0, plain.find("  a  first"));
  CHECK(std::ranges::count(curves, 'a') >= 2);
  CHECK(std::ranges::count(curves, 'b') >= 2);
  options.color = true;
  CHECK(terminal_chart(series, options).find("\x1b[36m") != std::string::npos);
}

TEST_CASE("nothing to draw is an empty chart", "[track]") {
  CHECK(lines_of(terminal_chart({}, {"t", "x", 40, 10, false, true})).size() <= 10);
  CHECK(lines_of(terminal_chart({curve("r", {std::nan("")})}, {"t", "x", 40, 10, false, true}))
            .size() == 10);
  CHECK(svg_chart({curve("r", {std::nan("")})}, {"t", "x", 800, 480}).find("nan") ==
        std::string::npos);
}

TEST_CASE("an SVG escapes names, joins points and shows a point alone", "[track]") {
  const std::string svg =
      svg_chart({curve("<a&\"b\">\x01\xef\xbf\xbf", {1, 2, std::nan(""), 3}), curve("c", {2})},
                {"<loss>", "step", 400, 300});
  CHECK(svg.find("&lt;a&amp;&quot;b&quot;&gt;\\x01?</text>") != std::string::npos);
  CHECK(svg.find("<title>&lt;loss&gt;</title>") != std::string::npos);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("stroke=\"#0072b2\" stroke-width=\"1.6\" d=\"M") != std::string::npos);
  CHECK(svg.ends_with("</svg>\n"));
  std::vector<ChartPoint> long_run;
  for (int i = 0; i < 1'000'000; ++i)
    long_run.push_back({static_cast<double>(i), static_cast<double>(i % 977)});
  CHECK(svg_chart({{"long", long_run}}, {"t", "x", 800, 480}).size() < 200'000);
}
