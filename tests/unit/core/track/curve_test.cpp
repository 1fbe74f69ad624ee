// Curves in bounded memory.
#include "core/track/curve.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace mlp::track;

namespace {

ChartPoint at(std::size_t i, double y) {
  return {static_cast<double>(i), y};
}

} // namespace

TEST_CASE("a curve that fits keeps every point in its order") {
  Curve curve(16);
  std::vector<ChartPoint> all;
  for (std::size_t i = 0; i < 16; ++i) {
    all.push_back(at(i, i % 3 == 0 ? 1.0 : -1.0));
    curve.add(all.back());
  }
  CHECK(curve.points() == all);
  CHECK(Curve(16).points().empty());
}

TEST_CASE("a long curve keeps its spikes, its ends and a bounded number of points") {
  Curve curve(64);
  constexpr std::size_t count = 100'000;
  for (std::size_t i = 0; i < count; ++i)
    curve.add(at(i, i == 31'337 ? 50.0 : i == 77'777 ? -50.0 : std::sin(static_cast<double>(i))));
  const std::vector<ChartPoint> points = curve.points();
  CHECK(points.size() <= 129);
  CHECK(points.size() >= 64);
  CHECK(std::is_sorted(points.begin(), points.end(),
                       [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; }));
  CHECK(std::count(points.begin(), points.end(), at(31'337, 50.0)) == 1);
  CHECK(std::count(points.begin(), points.end(), at(77'777, -50.0)) == 1);
  CHECK(points.back().x == count - 1);
  CHECK(points.front().x < count / 64.0);
  CHECK(curve.size() == count);
  // Evenly: no stretch of the axis is much emptier than another.
  for (std::size_t i = 1; i < points.size(); ++i)
    CHECK(points[i].x - points[i - 1].x < 4.0 * count / 32);
}

TEST_CASE("a curve whose limit shrinks goes on growing") {
  Curve curve(1000);
  for (std::size_t i = 0; i < 999; ++i)
    curve.add(at(i, static_cast<double>(i)));
  curve.set_limit(1); // taken as 16
  CHECK(curve.points().size() <= 33);
  for (std::size_t i = 999; i < 5000; ++i)
    curve.add(at(i, static_cast<double>(i)));
  const std::vector<ChartPoint> points = curve.points();
  CHECK(points.size() <= 33);
  CHECK(points.front() == at(0, 0));
  CHECK(points.back() == at(4999, 4999));
}

TEST_CASE("what is no number is left out of a curve") {
  Curve curve(16);
  curve.add({0, std::numeric_limits<double>::infinity()});
  curve.add({std::numeric_limits<double>::quiet_NaN(), 1});
  curve.add({1, 2});
  CHECK(curve.points() == std::vector<ChartPoint>{{1, 2}});
}
