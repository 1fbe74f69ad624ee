// UTF-8: is it valid, what of it may go to a terminal, how wide it is there. No locale takes part.
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace mlp {

namespace {

struct Character {
  std::uint32_t code = 0;
  std::size_t length = 0; // bytes; 0: not UTF-8
};

// The character at the start of `text`, which is not empty. Overlong forms, surrogates and what
// lies above U+10FFFF are not UTF-8 (RFC 3629).
Character decode(std::string_view text) noexcept {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  Character c;
  if (lead >= 0xc2 && lead <= 0xdf)
    c = {lead & 0x1fu, 2};
  else if ((lead & 0xf0) == 0xe0)
    c = {lead & 0x0fu, 3};
  else if (lead >= 0xf0 && lead <= 0xf4)
    c = {lead & 0x07u, 4};
  if (c.length == 0 || c.length > text.size()) return {};
  for (std::size_t k = 1; k < c.length; ++k) {
    if ((byte(k) & 0xc0) != 0x80) return {};
    c.code = (c.code << 6) | (byte(k) & 0x3fu);
  }
  if (c.length == 3 && (c.code < 0x800 || (c.code >= 0xd800 && c.code <= 0xdfff))) return {};
  if (c.length == 4 && (c.code < 0x10000 || c.code > 0x10ffff)) return {};
  return c;
}

struct Range {
  std::uint32_t first, last;
};

constexpr Range wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},
    {0x23f0, 0x23f0},   {0x23f3, 0x23f3},   {0x25fd, 0x25fe},   {0x2614, 0x2615},
    {0x2648, 0x2653},   {0x267f, 0x267f},   {0x2693, 0x2693},   {0x26a1, 0x26a1},
    {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26c4, 0x26c5},   {0x26ce, 0x26ce},
    {0x26d4, 0x26d4},   {0x26ea, 0x26ea},   {0x26f2, 0x26f3},   {0x26f5, 0x26f5},
    {0x26fa, 0x26fa},   {0x26fd, 0x26fd},   {0x2705, 0x2705},   {0x270a, 0x270b},
    {0x2728, 0x2728},   {0x274c, 0x274c},   {0x274e, 0x274e},   {0x2753, 0x2755},
    {0x2757, 0x2757},   {0x2795, 0x2797},   {0x27b0, 0x27b0},   {0x27bf, 0x27bf},
    {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},   {0x2e80, 0x303e},
    {0x3041, 0x3247},   {0x3250, 0xa4cf},   {0xa960, 0xa97c},   {0xac00, 0xd7a3},
    {0xf900, 0xfaff},   {0xfe10, 0xfe19},   {0xfe30, 0xfe6f},   {0xff01, 0xff60},
    {0xffe0, 0xffe6},   {0x16fe0, 0x18d08}, {0x1aff0, 0x1b2ff}, {0x1f004, 0x1f004},
    {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a}, {0x1f200, 0x1f320},
    {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c}, {0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca},
    {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0}, {0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e},
    {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc}, {0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e},
    {0x1f550, 0x1f567}, {0x1f57a, 0x1f57a}, {0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4},
    {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5}, {0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d2},
    {0x1f6d5, 0x1f6df}, {0x1f6eb, 0x1f6ef}, {0x1f6f4, 0x1f6ff}, {0x1f7e0, 0x1f7f0},
    {0x1f90c, 0x1f93a}, {0x1f93c, 0x1f945}, {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faff},
    {0x20000, 0x2fffd}, {0x30000, 0x3fffd},
};

// Combining marks of the scripts that names are written in, joiners, variation selectors.
constexpr Range zero[] = {
    {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x5bf, 0x5bf},     {0x5c1, 0x5c2},
    {0x5c4, 0x5c5},   {0x610, 0x61a},   {0x64b, 0x65f},   {0x670, 0x670},     {0x6d6, 0x6dc},
    {0x6df, 0x6e4},   {0x6e7, 0x6e8},   {0x6ea, 0x6ed},   {0x901, 0x902},     {0x93c, 0x93c},
    {0x941, 0x948},   {0x94d, 0x94d},   {0x951, 0x957},   {0xe31, 0xe31},     {0xe34, 0xe3a},
    {0xe47, 0xe4e},   {0x1160, 0x11ff}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},   {0x200b, 0x200f},
    {0x202a, 0x202e}, {0x2060, 0x206f}, {0x20d0, 0x20ff}, {0x302a, 0x302d},   {0x3099, 0x309a},
    {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xe0001, 0xe01ef},
};

template <std::size_t N>
bool contains(const Range (&ranges)[N], std::uint32_t code) noexcept {
  const auto* at = std::lower_bound(std::begin(ranges), std::end(ranges), code,
                                    [](const Range& r, std::uint32_t c) { return r.last < c; });
  return at != std::end(ranges) && at->first <= code;
}

std::size_t columns_of(std::uint32_t code) noexcept {
  if (code < 0x300) return 1;
  if (contains(zero, code)) return 0;
  return contains(wide, code) ? 2 : 1;
}

// Embeddings, overrides and isolates: they show text in another order than it has.
bool reorders(std::uint32_t code) noexcept {
  return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

std::string made_printable(std::string_view text, std::string_view kept) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = decode(text);
    const std::size_t length = std::max<std::size_t>(c.length, 1);
    const bool control = c.code < 0x20 || (c.code >= 0x7f && c.code < 0xa0);
    if (c.length == 0 || (control && kept.find(text[0]) == std::string_view::npos)) {
      for (const char byte : text.substr(0, length))
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(byte));
    } else if (reorders(c.code)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", c.code);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

} // namespace

std::string printable(std::string_view text) {
  return made_printable(text, "");
}

std::string printable_lines(std::string_view text) {
  return made_printable(text, "\n\t");
}

namespace {

// Bytes of the sequence that `text` begins with; 0 if there is none, or no end of it is near.
std::size_t escape_length(std::string_view text) {
  constexpr std::size_t longest = 512;
  if (text.size() < 3 || text[0] != '\x1b') return 0;
  text = text.substr(0, longest);
  const auto is_between = [&](std::size_t at, char low, char high) {
    return at < text.size() && text[at] >= low && text[at] <= high;
  };
  if (text[1] == '[') {
    std::size_t at = 2;
    while (is_between(at, '0', '?'))
      ++at;
    while (is_between(at, ' ', '/'))
      ++at;
    return is_between(at, '@', '~') ? at + 1 : 0;
  }
  if (text[1] == ']') {
    const std::size_t end = text.find_first_of("\a\x1b", 2);
    if (end == std::string_view::npos) return 0;
    if (text[end] == '\a') return end + 1;
    return text.substr(end).starts_with("\x1b\\") ? end + 2 : 0;
  }
  return 0;
}

} // namespace

std::string shown_line(std::string_view line) {
  constexpr std::size_t tab = 8;
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (const std::size_t over = line.rfind('\r'); over != std::string_view::npos)
    line.remove_prefix(over + 1);
  std::string out, part;
  std::size_t columns = 0;
  const auto end_part = [&] {
    const std::string shown = printable(part);
    columns += display_width(shown);
    out += shown;
    part.clear();
  };
  while (!line.empty()) {
    std::size_t length = escape_length(line);
    if (length == 0) {
      length = 1;
      if (line.front() == '\t') {
        end_part();
        const std::size_t blanks = tab - columns % tab;
        out.append(blanks, ' ');
        columns += blanks;
      } else {
        part += line.front();
      }
    }
    line.remove_prefix(length);
  }
  end_part();
  return out;
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = decode(text).length;
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::size_t display_width(std::string_view text) noexcept {
  std::size_t width = 0;
  while (!text.empty()) {
    const Character c = decode(text);
    width += c.length == 0 ? 1 : columns_of(c.code);
    text.remove_prefix(std::max<std::size_t>(c.length, 1));
  }
  return width;
}

std::string_view fit_width(std::string_view text, std::size_t columns) noexcept {
  std::size_t at = 0, used = 0;
  while (at < text.size()) {
    const Character c = decode(text.substr(at));
    used += c.length == 0 ? 1 : columns_of(c.code);
    if (used > columns) break;
    at += std::max<std::size_t>(c.length, 1);
  }
  return text.substr(0, at);
}

} // namespace mlp
