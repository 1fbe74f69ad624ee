// A small rasteriser: smooth lines and text on white, and the result as a PNG file.
// Source of the format: W3C, Portable Network Graphics (PNG) Specification, third edition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::track {

struct PicturePoint {
  double x = 0, y = 0; // pixels from the left and from the top; centres of pixels are at .5
};

struct Pen {
  std::uint32_t color = 0; // 0xRRGGBB
  double width = 1;        // pixels
  // Lengths of drawn and blank parts in turn; empty: all is drawn.
  std::span<const double> dashes = {};
};

enum class Align { left, middle, right };

// Memory: four bytes a pixel. Not thread-safe. What lies outside is not drawn.
class Picture {
 public:
  // Each side from 1 to 65,535 pixels; else std::invalid_argument.
  Picture(std::size_t width, std::size_t height);

  [[nodiscard]] std::size_t width() const noexcept { return width_; }
  [[nodiscard]] std::size_t height() const noexcept { return height_; }
  [[nodiscard]] std::uint32_t pixel(std::size_t x, std::size_t y) const; // 0xRRGGBB

  // A line through the points, with round ends and corners; of one point, a dot. Points must be
  // finite. Takes time for the pixels that it covers.
  void stroke(std::span<const PicturePoint> points, const Pen& pen);

  // One line of text whose baseline begins (ends, has its middle) at `at`; `size`: as of a font, a
  // capital has 0.72 of it. Characters beyond ASCII are boxes.
  void text(PicturePoint at, std::string_view text, double size, std::uint32_t color,
            Align align = Align::left);
  [[nodiscard]] static double text_width(std::string_view text, double size);

  // The whole file, 8 bits a channel.
  [[nodiscard]] std::string png() const;

 private:
  void cover(PicturePoint from, PicturePoint to, double radius);
  void cover_path(std::span<const PicturePoint> points, const Pen& pen);
  void paint(std::uint32_t color); // what is covered, and forgets it

  std::size_t width_, height_;
  std::vector<std::uint8_t> pixels_;                // red, green, blue
  std::vector<std::uint8_t> coverage_;              // of the shape that is being drawn; else zeros
  std::size_t left_, top_, right_ = 0, bottom_ = 0; // what of it may be covered
};

} // namespace mlp::track
