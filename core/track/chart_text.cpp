// Charts of characters: curves are drawn on a grid of dots, 2 x 4 to a braille character or one to
// an ASCII one; letters on top tell the curves apart without colour.
#include "core/base/text.hpp"
#include "core/track/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace mlp::track {

namespace {

constexpr int no_series = -1;

struct Cell {
  std::uint8_t dots = 0; // bits of a braille pattern
  int series = no_series;
  bool mark = false; // shows the letter of its series
};

char letter(std::size_t series) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return letters[series % letters.size()];
}

// U+2800 plus the dots, in UTF-8.
std::string braille(std::uint8_t dots) {
  const unsigned code = 0x2800u + dots;
  return {static_cast<char>(0xe0 | (code >> 12)), static_cast<char>(0x80 | ((code >> 6) & 0x3f)),
          static_cast<char>(0x80 | (code & 0x3f))};
}

class Canvas {
 public:
  Canvas(std::size_t columns, std::size_t rows, bool unicode)
      : columns_(columns), rows_(rows), across_(unicode ? 2 : 1), down_(unicode ? 4 : 1),
        cells_(columns * rows) {}

  void draw(const ChartSeries& series, int index, const ChartFrame& frame) {
    bool joined = false;
    int x0 = 0, y0 = 0;
    for (const ChartPoint& point : series.points) {
      if (!std::isfinite(point.x) || !std::isfinite(point.y)) {
        joined = false;
        continue;
      }
      const int x = position(frame.across(point.x), columns_ * across_);
      const int y = position(1 - frame.up(point.y), rows_ * down_);
      if (joined)
        line(x0, y0, x, y, index);
      else
        dot(x, y, index);
      x0 = x;
      y0 = y;
      joined = true;
    }
  }

  // A letter on about every twelfth column where the series is seen, at columns of its own.
  void mark(int index, std::size_t count) {
    constexpr std::size_t period = 12;
    const std::size_t offset =
        static_cast<std::size_t>(index) * period / std::max<std::size_t>(count, 1);
    bool any = false;
    for (std::size_t column = 0; column < columns_; ++column)
      if (column % period == offset % period) any = mark_column(index, column) || any;
    for (std::size_t column = columns_; !any && column-- > 0;)
      any = mark_column(index, column);
  }

  [[nodiscard]] const Cell& at(std::size_t column, std::size_t row) const {
    return cells_[row * columns_ + column];
  }

 private:
  static int position(double share, std::size_t dots) {
    const double last = static_cast<double>(dots - 1);
    return static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * last));
  }

  bool mark_column(int index, std::size_t column) {
    for (std::size_t row = 0; row < rows_; ++row) {
      Cell& cell = cells_[row * columns_ + column];
      if (cell.series == index && !cell.mark) return cell.mark = true;
    }
    return false;
  }

  void dot(int x, int y, int index) {
    const auto ux = static_cast<std::size_t>(x), uy = static_cast<std::size_t>(y);
    Cell& cell = cells_[uy / down_ * columns_ + ux / across_];
    // Dots 1 2 3 7 on the left, 4 5 6 8 on the right: bits 0 1 2 6 and 3 4 5 7.
    static constexpr std::uint8_t bits[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};
    cell.dots |= bits[ux % across_][uy % down_];
    cell.series = index;
  }

  // Bresenham.
  void line(int x0, int y0, int x1, int y1, int index) {
    const int dx = std::abs(x1 - x0), dy = -std::abs(y1 - y0);
    const int sx = x0 < x1 ? 1 : -1, sy = y0 < y1 ? 1 : -1;
    int error = dx + dy;
    while (true) {
      dot(x0, y0, index);
      if (x0 == x1 && y0 == y1) return;
      const int twice = 2 * error;
      if (twice >= dy) {
        error += dy;
        x0 += sx;
      }
      if (twice <= dx) {
        error += dx;
        y0 += sy;
      }
    }
  }

  std::size_t columns_, rows_;
  std::size_t across_, down_; // dots in a character
  std::vector<Cell> cells_;
};

std::string colored(const std::string& text, int series, bool color) {
  static constexpr int codes[] = {36, 33, 35, 32, 34, 31};
  if (!color || series < 0) return text;
  return fmt::format("\033[{}m{}\033[0m", codes[static_cast<std::size_t>(series) % 6], text);
}

std::string cut(std::string_view text, std::size_t columns) {
  const std::string shown = printable(text);
  if (display_width(shown) <= columns) return shown;
  return std::string(fit_width(shown, columns > 3 ? columns - 3 : 0)) + "...";
}

std::string cell_text(const Cell& cell, bool several, bool unicode) {
  if (cell.series == no_series) return " ";
  const char mark = several ? letter(static_cast<std::size_t>(cell.series)) : '*';
  return !unicode || (cell.mark && several) ? std::string(1, mark) : braille(cell.dots);
}

std::size_t column_of(double share, std::size_t columns) {
  return static_cast<std::size_t>(std::lround(share * static_cast<double>(columns - 1)));
}

// The line of labels under the axis: as many as there is room for, the label of the axis at the
// end.
std::string x_labels(const ChartFrame& frame, std::size_t margin, std::size_t columns,
                     std::size_t width, std::string_view name) {
  std::string line(width, ' ');
  std::size_t free_from = 0;
  for (const double tick : frame.x_ticks) {
    const std::string text = tick_text(tick, frame.x_step);
    const std::size_t middle = margin + column_of(frame.across(tick), columns);
    std::size_t begin = middle - std::min(middle, text.size() / 2);
    if (begin + text.size() > width) begin = width - std::min(width, text.size());
    if (begin < free_from || begin + text.size() > width) continue;
    line.replace(begin, text.size(), text);
    free_from = begin + text.size() + 2;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  const std::string shown = printable(name);
  if (!shown.empty() && line.size() + 2 + display_width(shown) <= width) line += "  " + shown;
  return line;
}

} // namespace

std::string terminal_chart(const std::vector<ChartSeries>& series, const ChartOptions& options) {
  const std::size_t width = std::max<std::size_t>(options.width, 24);
  const std::size_t height = std::max<std::size_t>(options.height, 8);
  // Title, axis and its labels, and at least three rows of curves come before the legend.
  const std::size_t legend = std::min(series.size(), std::min(height - 6, height / 3 + 1));
  const std::size_t rows = height - 3 - legend;
  const ChartFrame frame = chart_frame(series, std::max<std::size_t>(4, width / 10),
                                       std::max<std::size_t>(3, (rows + 1) / 2));
  std::vector<std::string> row_labels(rows);
  std::size_t label_width = 0;
  for (const double tick : frame.y_ticks) {
    std::string& label = row_labels[column_of(1 - frame.up(tick), rows)];
    label = tick_text(tick, frame.y_step);
    label_width = std::max(label_width, label.size());
  }
  label_width = std::min(label_width, width / 2);
  const std::size_t margin = label_width + 2; // a blank and the axis
  const std::size_t columns = width - margin;
  Canvas canvas(columns, rows, options.unicode);
  for (std::size_t i = 0; i < series.size(); ++i)
    canvas.draw(series[i], static_cast<int>(i), frame);
  if (series.size() > 1)
    for (std::size_t i = 0; i < series.size(); ++i)
      canvas.mark(static_cast<int>(i), series.size());

  const bool unicode = options.unicode;
  std::string out = cut(options.title, width) + '\n';
  for (std::size_t row = 0; row < rows; ++row) {
    const bool tick = !row_labels[row].empty();
    std::string line = fmt::format("{:>{}.{}} ", row_labels[row], label_width, label_width);
    if (unicode)
      line += tick ? "┤" : "│";
    else
      line += tick ? '+' : '|';
    std::size_t end = columns;
    while (end > 0 && canvas.at(end - 1, row).series == no_series)
      --end;
    // Neighbours of one curve in one pair of escapes.
    for (std::size_t column = 0; column < end;) {
      const int index = canvas.at(column, row).series;
      std::string cells;
      for (; column < end && canvas.at(column, row).series == index; ++column)
        cells += cell_text(canvas.at(column, row), series.size() > 1, unicode);
      line += colored(cells, index, options.color);
    }
    out += line + '\n';
  }
  std::vector<bool> ticks(columns, false);
  for (const double tick : frame.x_ticks)
    ticks[column_of(frame.across(tick), columns)] = true;
  out += std::string(margin - 1, ' ') + (unicode ? "└" : "+");
  for (const bool tick : ticks)
    out += unicode ? (tick ? "┴" : "─") : (tick ? "+" : "-");
  out += '\n' + x_labels(frame, margin, columns, width, options.x_label) + '\n';
  for (std::size_t i = 0; i < legend; ++i) {
    if (i + 1 == legend && series.size() > legend) {
      out += cut(fmt::format("  and {} more", series.size() - i), width) + '\n';
      break;
    }
    // One curve needs no letter, and has none on it.
    const std::string mark = series.size() > 1 ? std::string(1, letter(i)) + "  " : std::string();
    out += "  " +
           colored(mark + cut(series[i].label, width - 2 - mark.size()), static_cast<int>(i),
                   options.color) +
           '\n';
  }
  return out;
}

} // namespace mlp::track
