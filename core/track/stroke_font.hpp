// Letters as lines, so that a picture can have text where no font is installed.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace mlp::track {

struct StrokePoint {
  double x = 0, y = 0; // units: capitals are 6 high; y grows upwards from the baseline
};

struct StrokeGlyph {
  std::vector<std::vector<StrokePoint>> strokes; // a stroke of one point twice is a dot
  double advance = 0;                            // to the next letter
};

inline constexpr double stroke_font_capitals = 6;

// An empty box for what is not printable ASCII. Thread-safe.
[[nodiscard]] const StrokeGlyph& stroke_glyph(char c);

} // namespace mlp::track
