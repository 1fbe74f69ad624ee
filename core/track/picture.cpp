// A pixel's coverage is how far its centre lies within the line's edge, cut to 0..1; of the pieces
// of one shape the greatest counts, so that corners are not painted twice.
#include "core/track/picture.hpp"

#include "core/track/stroke_font.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

namespace mlp::track {

namespace {

constexpr std::size_t longest_side = 65'535;
constexpr double capital_share = 0.72, text_weight = 0.1; // of the size of text

// Code points, of which those beyond ASCII are '\x7f'.
std::string glyphs_of(std::string_view text) {
  std::string out;
  for (const char c : text)
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) // not the inside of a UTF-8 sequence
      out += static_cast<unsigned char>(c) < 0x80 ? c : '\x7f';
  return out;
}

void append_number(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>((value >> shift) & 0xff);
}

void append_chunk(std::string& out, std::string_view type, std::string_view data) {
  append_number(out, static_cast<std::uint32_t>(data.size()));
  const std::size_t begin = out.size();
  out += type;
  out += data;
  append_number(
      out, static_cast<std::uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(out.data() + begin),
                                              static_cast<uInt>(out.size() - begin))));
}

} // namespace

Picture::Picture(std::size_t width, std::size_t height)
    : width_(width), height_(height), left_(width), top_(height) {
  if (width == 0 || height == 0 || width > longest_side || height > longest_side)
    throw std::invalid_argument("size of a picture");
  pixels_.assign(width * height * 3, 0xff);
  coverage_.assign(width * height, 0);
}

std::uint32_t Picture::pixel(std::size_t x, std::size_t y) const {
  const std::uint8_t* at = &pixels_.at((y * width_ + x) * 3);
  return static_cast<std::uint32_t>(at[0] << 16 | at[1] << 8 | at[2]);
}

void Picture::cover(PicturePoint from, PicturePoint to, double radius) {
  if (from.y > to.y) std::swap(from, to);
  const double reach = radius + 0.5;
  const double dx = to.x - from.x, dy = to.y - from.y;
  const double square = dx * dx + dy * dy;
  const double inverse = square > 0 ? 1 / square : 0;
  const auto row_limit = static_cast<double>(height_), column_limit = static_cast<double>(width_);
  const auto first =
      static_cast<std::size_t>(std::clamp(std::floor(from.y - reach), 0.0, row_limit));
  const auto last = static_cast<std::size_t>(std::clamp(std::ceil(to.y + reach), 0.0, row_limit));
  for (std::size_t row = first; row < last; ++row) {
    const double y = static_cast<double>(row) + 0.5;
    // The part of the segment that is near enough to this row.
    double x0 = from.x, x1 = to.x;
    if (dy > 0) {
      x0 = from.x + dx * std::clamp((y - reach - from.y) / dy, 0.0, 1.0);
      x1 = from.x + dx * std::clamp((y + reach - from.y) / dy, 0.0, 1.0);
    }
    const auto begin = static_cast<std::size_t>(
        std::clamp(std::floor(std::min(x0, x1) - reach), 0.0, column_limit));
    const auto end = static_cast<std::size_t>(
        std::clamp(std::ceil(std::max(x0, x1) + reach), 0.0, column_limit));
    if (begin >= end) continue;
    left_ = std::min(left_, begin);
    right_ = std::max(right_, end);
    top_ = std::min(top_, row);
    bottom_ = std::max(bottom_, row + 1);
    for (std::size_t column = begin; column < end; ++column) {
      const double x = static_cast<double>(column) + 0.5;
      const double along = std::clamp(((x - from.x) * dx + (y - from.y) * dy) * inverse, 0.0, 1.0);
      const double off_x = x - from.x - along * dx, off_y = y - from.y - along * dy;
      const double away = off_x * off_x + off_y * off_y;
      if (away >= reach * reach) continue;
      const double share = std::min(reach - std::sqrt(away), 1.0);
      std::uint8_t& there = coverage_[row * width_ + column];
      there = std::max(there, static_cast<std::uint8_t>(share * 255 + 0.5));
    }
  }
}

void Picture::cover_path(std::span<const PicturePoint> points, const Pen& pen) {
  const double radius = pen.width / 2;
  if (points.size() == 1) cover(points[0], points[0], radius);
  double period = 0;
  for (const double length : pen.dashes)
    period += std::max(length, 0.0);
  std::size_t part = 0; // of the dashes: even ones are drawn
  double left = period > 0 ? pen.dashes[0] : 0;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const PicturePoint a = points[i], b = points[i + 1];
    const double length = std::hypot(b.x - a.x, b.y - a.y);
    // Dashes that nobody could tell apart are a line.
    if (period < 1) {
      cover(a, b, radius);
      continue;
    }
    for (double done = 0; done < length;) {
      const double piece = std::min(left, length - done);
      const auto at = [&](double way) {
        return PicturePoint{a.x + (b.x - a.x) * way / length, a.y + (b.y - a.y) * way / length};
      };
      if (part % 2 == 0) cover(at(done), at(done + piece), radius);
      done += piece;
      left -= piece;
      if (left > 0) break; // the segment's end
      part = (part + 1) % pen.dashes.size();
      left = std::max(pen.dashes[part], 0.0);
    }
  }
}

void Picture::paint(std::uint32_t color) {
  for (std::size_t row = top_; row < bottom_; ++row)
    for (std::size_t column = left_; column < right_; ++column) {
      std::uint8_t& share = coverage_[row * width_ + column];
      if (share == 0) continue;
      std::uint8_t* channel = &pixels_[(row * width_ + column) * 3];
      for (int shift = 16; shift >= 0; shift -= 8, ++channel) {
        const unsigned ink = (color >> shift) & 0xff;
        *channel = static_cast<std::uint8_t>((ink * share + *channel * (255u - share) + 127) / 255);
      }
      share = 0;
    }
  left_ = width_;
  top_ = height_;
  right_ = bottom_ = 0;
}

void Picture::stroke(std::span<const PicturePoint> points, const Pen& pen) {
  cover_path(points, pen);
  paint(pen.color);
}

double Picture::text_width(std::string_view text, double size) {
  double units = 0;
  for (const char c : glyphs_of(text))
    units += stroke_glyph(c).advance;
  return units * size * capital_share / stroke_font_capitals;
}

void Picture::text(PicturePoint at, std::string_view text, double size, std::uint32_t color,
                   Align align) {
  const double unit = size * capital_share / stroke_font_capitals;
  if (align == Align::middle) at.x -= text_width(text, size) / 2;
  if (align == Align::right) at.x -= text_width(text, size);
  // Upright lines that cover one column of pixels are sharper than those that half cover two.
  at.x = std::floor(at.x) + 0.5;
  at.y = std::floor(at.y) - 0.5;
  const Pen pen{color, std::max(1.0, size * text_weight)};
  std::vector<PicturePoint> points;
  for (const char c : glyphs_of(text)) {
    const StrokeGlyph& glyph = stroke_glyph(c);
    for (const auto& stroke : glyph.strokes) {
      points.clear();
      for (const StrokePoint& point : stroke)
        points.push_back({at.x + point.x * unit, at.y - point.y * unit});
      cover_path(points, pen);
    }
    at.x += glyph.advance * unit;
    if (at.x > static_cast<double>(width_)) break;
  }
  paint(color);
}

std::string Picture::png() const {
  std::string rows;
  rows.reserve((width_ * 3 + 1) * height_);
  for (std::size_t row = 0; row < height_; ++row) {
    rows += '\0'; // filter: none
    rows.append(reinterpret_cast<const char*>(&pixels_[row * width_ * 3]), width_ * 3);
  }
  uLongf size = ::compressBound(static_cast<uLong>(rows.size()));
  std::string data(size, '\0');
  if (::compress2(reinterpret_cast<Bytef*>(data.data()), &size,
                  reinterpret_cast<const Bytef*>(rows.data()), static_cast<uLong>(rows.size()),
                  Z_BEST_COMPRESSION) != Z_OK)
    throw std::bad_alloc(); // the only way that it fails with room enough
  data.resize(size);

  std::string header;
  append_number(header, static_cast<std::uint32_t>(width_));
  append_number(header, static_cast<std::uint32_t>(height_));
  header += std::string_view("\x08\x02\0\0\0", 5); // bits, RGB, deflate, filters, not interlaced
  std::string out = "\x89PNG\r\n\x1a\n";
  append_chunk(out, "IHDR", header);
  append_chunk(out, "IDAT", data);
  append_chunk(out, "IEND", "");
  return out;
}

} // namespace mlp::track
