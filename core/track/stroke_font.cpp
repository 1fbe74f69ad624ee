// Each glyph is written as strokes apart by blanks, each stroke as points of two digits: x, and y
// with descenders from 0, the baseline at 2, small letters up to 6 and capitals up to 8.
#include "core/track/stroke_font.hpp"

#include <algorithm>
#include <array>

namespace mlp::track {

namespace {

constexpr double baseline = 2, gap = 2, blank = 3;

// From ' ' to '~'.
constexpr std::array<std::string_view, 95> outlines = {
    "",                                 // blank
    "0804 0202",                        // !
    "0806 2826",                        // "
    "1218 3238 0444 0646",              // #
    "473818070615354443321203 2921",    // $
    "0248 0818170708 3343423233",       // %
    "4206071827260403122244",           // &
    "0806",                             // '
    "18070312",                         // (
    "08171302",                         // )
    "2428 0547 0745",                   // *
    "2327 0545",                        // +
    "131201",                           // ,
    "0535",                             // -
    "0202",                             // .
    "0238",                             // /
    "030718384743321203",               // 0
    "172822 1232",                      // 1
    "07183847460242",                   // 2
    "07183847463515 354443321203",      // 3
    "32380444",                         // 4
    "48080516364543321203",             // 5
    "473818070312324344351504",         // 6
    "084812",                           // 7
    "15060718384746351504031232434435", // 8
    "031232434738180706153546",         // 9
    "0606 0202",                        // :
    "1616 131201",                      // ;
    "370533",                           // <
    "0646 0444",                        // =
    "073503",                           // >
    "071838474624 2222",                // ?
    "42120307183847443414163634",       // @
    "022842 1434",                      // A
    "02083847463505 3544433202",        // B
    "4738180703123243",                 // C
    "02082846442202",                   // D
    "48080242 0535",                    // E
    "480802 0535",                      // F
    "47381807031232434525",             // G
    "0208 4248 0545",                   // H
    "0208",                             // I
    "3833221203",                       // J
    "0208 4804 1542",                   // K
    "080242",                           // L
    "0208244842",                       // M
    "02084248",                         // N
    "030718384743321203",               // O
    "02083847463505",                   // P
    "030718384743321203 2442",          // Q
    "02083847463505 2542",              // R
    "473818070615354443321203",         // S
    "0848 2822",                        // T
    "080312324348",                     // U
    "082248",                           // V
    "0812263248",                       // W
    "0248 0842",                        // X
    "082548 2522",                      // Y
    "08480242",                         // Z
    "28080222",                         // [
    "0832",                             // backslash
    "08282202",                         // ]
    "062846",                           // ^
    "0141",                             // _
    "0817",                             // `
    "3526160503122233 3632",            // a
    "0802 0516263533221203",            // b
    "3526160503122233",                 // c
    "3832 3526160503122233",            // d
    "04343526160503122233",             // e
    "281712 0626",                      // f
    "3526160503122233 3631201001",      // g
    "0802 0516263532",                  // h
    "0602 0808",                        // i
    "161100 1818",                      // j
    "0802 3603 1432",                   // k
    "080312",                           // l
    "0602 05162522 25364542",           // m
    "0602 0516263532",                  // n
    "160503122233352616",               // o
    "0600 0516263533221203",            // p
    "3630 3526160503122233",            // q
    "0602 041626",                      // r
    "35261605142433221203",             // s
    "181322 0626",                      // t
    "0603122233 3632",                  // u
    "062246",                           // v
    "0612253246",                       // w
    "0632 3602",                        // x
    "0622 461000",                      // y
    "06360232",                         // z
    "28171605141322",                   // {
    "0901",                             // |
    "08171625141302",                   // }
    "0415253445",                       // ~
};
constexpr std::string_view unknown = "0208484202";

StrokeGlyph glyph_of(std::string_view outline, bool is_digit) {
  StrokeGlyph glyph;
  double right = is_digit ? 4 : 0; // digits stand below each other
  bool open = false;
  for (std::size_t i = 0; i < outline.size();) {
    if (outline[i] == ' ') {
      open = false;
      ++i;
      continue;
    }
    if (!open) glyph.strokes.emplace_back();
    open = true;
    const double x = outline[i] - '0', y = outline[i + 1] - '0';
    glyph.strokes.back().push_back({x, y - baseline});
    right = std::max(right, x);
    i += 2;
  }
  glyph.advance = outline.empty() ? blank : right + gap;
  return glyph;
}

std::vector<StrokeGlyph> all_glyphs() {
  std::vector<StrokeGlyph> glyphs;
  for (std::size_t i = 0; i < outlines.size(); ++i) {
    const auto c = static_cast<char>(' ' + static_cast<int>(i));
    glyphs.push_back(glyph_of(outlines[i], c >= '0' && c <= '9'));
  }
  glyphs.push_back(glyph_of(unknown, false));
  return glyphs;
}

} // namespace

const StrokeGlyph& stroke_glyph(char c) {
  static const std::vector<StrokeGlyph> glyphs = all_glyphs();
  return c >= ' ' && c <= '~' ? glyphs[static_cast<std::size_t>(c - ' ')] : glyphs.back();
}

} // namespace mlp::track
