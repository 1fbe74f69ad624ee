// Lines, text and PNG files: decoded again by zlib alone.
#include "core/track/chart.hpp"
#include "core/track/picture.hpp"
#include "core/track/stroke_font.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <chrono>
#include <cmath>
#include <limits>

using namespace mlp::track;

namespace {

struct Decoded {
  std::size_t width = 0, height = 0;
  std::string rows;
  [[nodiscard]] std::uint32_t at(std::size_t x, std::size_t y) const {
    const std::size_t from = y * (width * 3 + 1) + 1 + x * 3;
    const auto byte = [&](std::size_t i) {
      return static_cast<std::uint32_t>(static_cast<unsigned char>(rows.at(from + i)));
    };
    return byte(0) << 16 | byte(1) << 8 | byte(2);
  }
  // How many pixels have this colour.
  [[nodiscard]] std::size_t count(std::uint32_t color) const {
    std::size_t n = 0;
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x)
        n += at(x, y) == color ? 1 : 0;
    return n;
  }
};

Decoded decode(const std::string& png) {
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i)
      value = value << 8 | static_cast<unsigned char>(png.at(at + i));
    return value;
  };
  REQUIRE(png.substr(0, 8) == "\x89PNG\r\n\x1a\n");
  Decoded out;
  std::string types;
  for (std::size_t at = 8; at < png.size();) {
    const std::uint32_t length = number(at);
    const std::string type = png.substr(at + 4, 4);
    const std::string data = png.substr(at + 8, length);
    REQUIRE(data.size() == length);
    REQUIRE(number(at + 8 + length) ==
            ::crc32(0, reinterpret_cast<const Bytef*>(png.data() + at + 4), length + 4));
    types += type;
    if (type == "IHDR") {
      REQUIRE(length == 13);
      out.width = number(at + 8);
      out.height = number(at + 12);
      REQUIRE(data.substr(8) == std::string("\x08\x02\0\0\0", 5));
    } else if (type == "IDAT") {
      out.rows.resize((out.width * 3 + 1) * out.height);
      uLongf size = out.rows.size();
      REQUIRE(::uncompress(reinterpret_cast<Bytef*>(out.rows.data()), &size,
                           reinterpret_cast<const Bytef*>(data.data()), data.size()) == Z_OK);
      REQUIRE(size == out.rows.size());
    }
    at += 12 + length;
  }
  CHECK(types == "IHDRIDATIEND");
  for (std::size_t y = 0; y < out.height; ++y)
    REQUIRE(out.rows.at(y * (out.width * 3 + 1)) == '\0');
  return out;
}

} // namespace

TEST_CASE("a picture comes back from its PNG file", "[picture]") {
  Picture picture(30, 20);
  picture.stroke(std::array<PicturePoint, 2>{{{5, 10}, {25, 10}}}, {0x102030, 4});
  const Decoded png = decode(picture.png());
  CHECK(png.width == 30);
  CHECK(png.height == 20);
  for (std::size_t y = 0; y < 20; ++y)
    for (std::size_t x = 0; x < 30; ++x)
      REQUIRE(png.at(x, y) == picture.pixel(x, y));
  // Four rows of ink, no more, and round ends.
  for (const std::size_t y : {8u, 9u, 10u, 11u})
    CHECK(png.at(15, y) == 0x102030);
  CHECK(png.at(15, 7) == 0xffffff);
  CHECK(png.at(15, 12) == 0xffffff);
  CHECK(png.at(3, 10) != 0xffffff);
  CHECK(png.at(2, 10) == 0xffffff);
  CHECK(png.at(3, 8) != 0x102030);
  CHECK_THROWS_AS(Picture(0, 5), std::invalid_argument);
  CHECK_THROWS_AS(Picture(5, 70'000), std::invalid_argument);
}

TEST_CASE("edges are smooth, and a corner is painted once", "[picture]") {
  Picture picture(20, 20);
  picture.stroke(std::array<PicturePoint, 2>{{{2, 10}, {18, 10}}}, {0, 1});
  // Half of each row of pixels beside the line.
  CHECK(picture.pixel(10, 9) == 0x7f7f7f);
  CHECK(picture.pixel(10, 10) == 0x7f7f7f);
  Picture once(20, 20), twice(20, 20);
  const Pen pen{0x0072b2, 1.6};
  once.stroke(std::array<PicturePoint, 2>{{{2.3, 3.1}, {17.2, 15.8}}}, pen);
  twice.stroke(std::array<PicturePoint, 3>{{{2.3, 3.1}, {17.2, 15.8}, {2.3, 3.1}}}, pen);
  CHECK(once.png() == twice.png());
}

TEST_CASE("dashes leave blanks, also where the line bends", "[picture]") {
  const auto ink = [](std::span<const double> dashes) {
    Picture picture(120, 120);
    picture.stroke(std::array<PicturePoint, 3>{{{10, 10.5}, {110, 10.5}, {110, 110}}},
                   {0, 1, dashes});
    return decode(picture.png()).count(0xffffff);
  };
  const std::size_t blank = 120 * 120;
  const std::size_t line = blank - ink({});
  const std::size_t dashed = blank - ink(std::array{6.0, 6.0});
  CHECK(line >= 200);
  CHECK(dashed > line / 3);
  CHECK(dashed < line * 4 / 5);
  CHECK(blank - ink(std::array{1e-9, 1e-9}) == line); // not for ever
  CHECK(blank - ink(std::array{0.0, 0.0}) == line);
}

TEST_CASE("what lies outside a picture is not drawn", "[picture]") {
  Picture picture(10, 10);
  picture.stroke(std::array<PicturePoint, 2>{{{-1e9, -1e9}, {-5, 1e9}}}, {0, 3});
  picture.stroke(std::array<PicturePoint, 1>{{{50, 5}}}, {0, 3});
  picture.text({-500, 5}, "abc", 12, 0);
  picture.text({5000, 5}, "abc", 12, 0);
  CHECK(decode(picture.png()).count(0xffffff) == 100);
  picture.stroke(std::array<PicturePoint, 2>{{{-1e6, 5.5}, {1e6, 5.5}}}, {0, 1});
  CHECK(decode(picture.png()).count(0) == 10);
}

TEST_CASE("every printable character has a glyph of its own", "[picture]") {
  std::vector<std::string> seen;
  for (char c = '!'; c <= '~'; ++c) {
    const StrokeGlyph& glyph = stroke_glyph(c);
    INFO(c);
    REQUIRE_FALSE(glyph.strokes.empty());
    std::string shape;
    for (const auto& stroke : glyph.strokes) {
      REQUIRE(stroke.size() >= 2);
      shape += '|';
      for (const StrokePoint& point : stroke) {
        shape += fmt::format("{},{} ", point.x, point.y);
        CHECK(point.y >= -2);
        CHECK(point.y <= 7);
        CHECK(point.x + 1 < glyph.advance);
      }
    }
    // 0 and O are told apart by what is around them.
    if (c != 'O') seen.push_back(shape);
  }
  std::sort(seen.begin(), seen.end());
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  CHECK(stroke_glyph(' ').strokes.empty());
  CHECK(stroke_glyph('\x01').strokes.size() == 1);
  CHECK(stroke_glyph('\xff').strokes.size() == 1);
}

TEST_CASE("text stands where it is put", "[picture]") {
  Picture picture(100, 40);
  picture.text({10, 30}, "I", 20, 0xff0000);
  // A capital of 0.72 of the size, on the baseline.
  CHECK(picture.pixel(10, 25) != 0xffffff);
  CHECK(picture.pixel(10, 13) == 0xffffff);
  CHECK(picture.pixel(10, 32) == 0xffffff);
  CHECK(Picture::text_width("漢é", 12) == Picture::text_width("\x7f\x7f", 12));
  CHECK(Picture::text_width("111", 12) == Picture::text_width("000", 12));
  const double width = Picture::text_width("mlp", 20);
  Picture right(100, 40);
  right.text({90, 30}, "mlp", 20, 0, Align::right);
  for (std::size_t y = 0; y < 40; ++y)
    for (std::size_t x = 0; x < 100; ++x)
      if (right.pixel(x, y) != 0xffffff) {
        CHECK(static_cast<double>(x) >= 90 - width - 2);
        CHECK(x < 90);
      }
}

TEST_CASE("a chart as PNG has its curves, its axes and its legend", "[picture][chart]") {
  std::vector<ChartSeries> series{{"falling", {}}, {"rising", {}}};
  for (int i = 0; i <= 100; ++i) {
    series[0].points.push_back({double(i), 1 - i / 100.0});
    series[1].points.push_back({double(i), i / 100.0});
  }
  ChartOptions options;
  options.title = "loss";
  options.x_label = "step";
  options.width = 400;
  options.height = 300;
  const Decoded png = decode(png_chart(series, options));
  CHECK(png.width == 400);
  CHECK(png.height == 300 + 2 * 18 + 6);
  const double left = 70, right = 380, top = 36, bottom = 250;
  // On the curves at a quarter of the way, and between them nothing but the grid.
  const auto x = static_cast<std::size_t>(left + (right - left) / 4);
  const auto on = [&](double share, std::uint32_t color) {
    const auto y = static_cast<std::size_t>(bottom - (bottom - top) * share);
    for (std::size_t row = y - 2; row <= y + 2; ++row)
      if (png.at(x, row) == color) return true;
    return false;
  };
  CHECK(on(0.75, 0x0072b2));
  CHECK(on(0.25, 0xd55e00));
  CHECK_FALSE(on(0.6, 0x0072b2));
  CHECK(png.at(70, 150) == 0x333333);
  CHECK(png.at(200, 250) == 0x333333);
  CHECK(png.count(0xdddddd) > 1000);
  // Legend: a piece of each line, and black text beside it.
  CHECK(png.at(80, 300) == 0x0072b2);
  CHECK(png.at(80, 318) == 0xd55e00);
  std::size_t dark = 0;
  for (std::size_t column = 106; column < 160; ++column)
    for (std::size_t row = 294; row < 306; ++row)
      dark += png.at(column, row) == 0 ? 1 : 0;
  CHECK(dark > 10);
}

TEST_CASE("a PNG chart stands any series and any size", "[picture][chart]") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<ChartSeries> series(60, {std::string(5000, 'x') + "\xff\n漢", {}});
  series[0].points = {{0, 1}, {1, infinity}, {2, std::nan("")}, {3, 4}};
  series[1].points = {{-1e308, -1e308}, {1e308, 1e308}};
  series[2].points = {{5, 5}};
  for (int i = 0; i < 20'000; ++i) // back and forth over all of it
    series[9].points.push_back({i % 2 == 0 ? -1e308 : 1e308, i % 4 < 2 ? -1e308 : 1e308});
  ChartOptions options;
  options.title = std::string(3000, 'W');
  options.width = 800;
  options.height = 900;
  const auto begin = std::chrono::steady_clock::now();
  const Decoded png = decode(png_chart(series, options));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
  CHECK(png.width == 800);
  CHECK(png.height == 900 + 41 * 18 + 6);
  options.width = options.height = 0;
  CHECK(decode(png_chart({}, options)).width == 200);
  options.width = 1'000'000;
  CHECK(decode(png_chart({}, options)).width == 4000);
}
