// From top to bottom: header, runs, progress, newest metrics, curves, GPUs, the end of the log,
// keys. Curves and log share what the others leave.
#include "cli/watch_frame.hpp"

#include "cli/gpus.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mlp {

namespace {

using Lines = std::vector<std::string>;

constexpr std::string_view bold = "1", faint = "2", red = "31", green = "32", yellow = "33",
                           magenta = "35", cyan = "36";
constexpr std::size_t least_chart_columns = 24, least_chart_rows = 7; // of terminal_chart()

// Without what is not ASCII, one '?' a character.
std::string ascii_only(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) out += c;
    if (byte >= 0xc0) out += '?';
  }
  return out;
}

std::string shown(const WatchView& view, std::string_view text) {
  std::string out = printable(text);
  return view.unicode ? out : ascii_only(out);
}

// One line, put together from the left; what does not fit is cut.
class Row {
 public:
  Row(const WatchView& view, std::size_t columns) : view_(&view), columns_(columns) {}

  Row& add(std::string_view text, std::string_view style = {}) {
    const std::string whole = shown(*view_, text);
    const std::string_view part = fit_width(whole, columns_ - used_);
    if (part.size() < whole.size()) columns_ = used_ + display_width(part); // nothing after a cut
    used_ += display_width(part);
    if (style.empty() || !view_->color || part.empty())
      line_ += part;
    else
      line_ += fmt::format("\033[{}m{}\033[0m", style, part);
    return *this;
  }
  // With blanks up to `width` columns.
  Row& add_padded(std::string_view text, std::size_t width, std::string_view style = {}) {
    const std::size_t own = display_width(shown(*view_, text));
    add(text, style);
    return own < width ? add(std::string(width - own, ' ')) : *this;
  }
  // At the right end, if there is room for all of it and two blanks before.
  Row& add_right(std::string_view text) {
    const std::size_t own = display_width(shown(*view_, text));
    if (used_ + 2 + own <= columns_) add(std::string(columns_ - used_ - own, ' ')).add(text);
    return *this;
  }
  // A line across what is left.
  Row& add_rule() {
    std::string rule;
    for (std::size_t i = used_; i < columns_; ++i)
      rule += view_->unicode ? "─" : "-";
    return add(rule, faint);
  }

  [[nodiscard]] std::size_t left() const noexcept { return columns_ - used_; }
  [[nodiscard]] std::string text() const { return line_; }

 private:
  const WatchView* view_;
  std::size_t columns_;
  std::size_t used_ = 0;
  std::string line_;
};

std::string bar(double share, std::size_t width, bool unicode) {
  const auto full = static_cast<std::size_t>(
      std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  std::string out;
  for (std::size_t i = 0; i < width; ++i)
    out += unicode ? (i < full ? "█" : "░") : (i < full ? "#" : ".");
  return out;
}

std::string number(double value) {
  return fmt::format("{:.4g}", value);
}

std::string_view style_of(track::RunState state) {
  using enum track::RunState;
  switch (state) {
  case running:
    return green;
  case succeeded:
    return cyan;
  case failed:
  case lost:
    return red;
  case cancelled:
  case preempted:
    return magenta;
  default:
    return yellow;
  }
}

// The first of `count` items to show of `total`, so that `selected` is among them.
std::size_t first_shown(std::size_t total, std::size_t count, std::size_t selected) {
  if (total <= count) return 0;
  return std::min(selected - std::min(selected, count / 2), total - count);
}

std::string header(const WatchView& view, std::size_t columns) {
  Row row(view, columns);
  row.add("mlp watch", bold).add("  " + view.project);
  if (view.runs.size() > 1)
    row.add(fmt::format("  run {} of {}", view.selected + 1, view.runs.size()));
  return row.add_right((view.paused ? "paused  " : "") + view.clock).text();
}

const double* value_of(const WatchedRun& run, const std::string& metric) {
  const auto found = std::find_if(run.metrics.begin(), run.metrics.end(),
                                  [&](const auto& entry) { return entry.first == metric; });
  return found == run.metrics.end() ? nullptr : &found->second;
}

std::string run_line(const WatchView& view, std::size_t at, std::size_t columns) {
  const WatchedRun& run = view.runs[at];
  const bool several = view.runs.size() > 1;
  const bool selected = several && at == view.selected;
  Row row(view, columns);
  if (several) row.add(selected ? "> " : "  ", bold);
  row.add_padded(run.id, 24, selected ? bold : std::string_view());
  row.add_padded(track::state_name(run.state), 11, style_of(run.state));
  row.add_padded(run.took, 12);
  if (const double* value = several ? value_of(run, view.metric) : nullptr)
    row.add(fmt::format("{} {}  ", view.metric, number(*value)));
  row.add(run.task);
  if (!run.name.empty()) row.add("  " + run.name);
  if (run.attempts > 1) row.add(fmt::format("  attempt {}", run.attempts));
  return row.text();
}

std::string progress_line(const WatchView& view, const track::RunProgress& progress,
                          std::size_t columns) {
  Row row(view, columns);
  if (progress.total > 0) {
    const double share = static_cast<double>(progress.done) / static_cast<double>(progress.total);
    row.add(bar(share, std::clamp<std::size_t>(columns / 4, 4, 40), view.unicode), green)
        .add(fmt::format("  {:.0f} %  {} of {}", 100 * std::min(share, 1.0),
                         format_count(progress.done), format_count(progress.total)));
  } else {
    row.add(format_count(progress.done));
  }
  if (progress.left) row.add("  " + format_duration(*progress.left) + " left");
  return row.add("  " + progress.note).text();
}

Lines metric_lines(const WatchView& view, const WatchedRun& run, std::size_t columns,
                   std::size_t most) {
  Lines lines;
  std::size_t line_of_selected = 0;
  Row row(view, columns);
  bool any = false;
  for (const auto& [name, value] : run.metrics) {
    const bool selected = name == view.metric;
    const std::string item =
        fmt::format("{}{} {}{}", selected ? "[" : " ", name, number(value), selected ? "]" : " ");
    if (any && display_width(shown(view, item)) > row.left()) {
      lines.push_back(row.text());
      row = Row(view, columns);
    }
    any = true;
    row.add(item, selected ? bold : std::string_view());
    if (selected) line_of_selected = lines.size();
  }
  if (any) lines.push_back(row.text());
  const std::size_t first = first_shown(lines.size(), most, line_of_selected);
  return {lines.begin() + static_cast<std::ptrdiff_t>(first),
          lines.begin() + static_cast<std::ptrdiff_t>(std::min(lines.size(), first + most))};
}

Lines chart_lines(const WatchView& view, std::size_t columns, std::size_t rows) {
  std::vector<track::ChartSeries> series = view.curves;
  for (track::ChartSeries& one : series)
    one.label = shown(view, one.label);
  track::ChartOptions options;
  options.title = shown(view, view.metric);
  options.x_label = view.x_label;
  options.width = columns;
  options.color = view.color;
  options.unicode = view.unicode;
  // One curve needs no legend: its line is drawn and dropped.
  options.height = rows + (series.size() == 1 ? 1 : 0);
  Lines lines = split(track::terminal_chart(series, options), '\n');
  lines.resize(std::min(lines.size(), rows));
  return lines;
}

std::string gpu_line(const WatchView& view, const gpu::Gpu& gpu, std::size_t columns) {
  Row row(view, columns);
  row.add(fmt::format("GPU {}  {}  ", gpu.index, short_model(gpu)));
  if (gpu.lost) return row.add("lost: " + *gpu.lost, red).text();
  if (gpu.utilization) {
    row.add(bar(*gpu.utilization / 100.0, 10, view.unicode), green);
    row.add(fmt::format(" {:3} %", *gpu.utilization));
  }
  if (gpu.memory_used && gpu.memory_total)
    row.add(
        fmt::format("  {} of {}", format_bytes(*gpu.memory_used), format_bytes(*gpu.memory_total)));
  if (gpu.temperature) row.add(fmt::format("  {} C", *gpu.temperature));
  if (gpu.power) row.add(fmt::format("  {:.0f} W", *gpu.power));
  if (const std::string state = gpu_state(gpu); state != "ok") row.add("  " + state, red);
  return row.text();
}

Lines gpu_lines(const WatchView& view, std::size_t columns, std::size_t most) {
  Lines lines;
  for (const gpu::Gpu& gpu : view.gpus) {
    if (lines.size() + 1 == most && view.gpus.size() > most) {
      lines.push_back(Row(view, columns)
                          .add(fmt::format("and {} more GPUs", view.gpus.size() - lines.size()))
                          .text());
      break;
    }
    lines.push_back(gpu_line(view, gpu, columns));
  }
  return lines;
}

Lines log_lines(const WatchView& view, std::size_t columns, std::size_t rows) {
  Lines lines;
  if (rows == 0) return lines;
  Row title(view, columns);
  lines.push_back(title.add(view.unicode ? "── " : "-- ", faint)
                      .add(view.log_title)
                      .add(" ")
                      .add_rule()
                      .text());
  if (view.log.empty() && rows > 1)
    lines.push_back(Row(view, columns).add("nothing yet", faint).text());
  for (std::size_t i = view.log.size() - std::min(view.log.size(), rows - 1); i < view.log.size();
       ++i)
    lines.push_back(Row(view, columns).add(view.log[i]).text());
  return lines;
}

std::string keys_line(const WatchView& view, std::size_t columns) {
  const bool several = view.runs.size() > 1;
  std::string keys = "q quit";
  if (view.unicode)
    keys += several ? "  ↑↓ run  ←→ metric" : "  ←→ metric";
  else
    keys += several ? "  arrows run, metric" : "  arrows metric";
  if (several) keys += "  a all runs";
  return Row(view, columns).add(keys + "  l log  p pause", faint).text();
}

void append(Lines& to, Lines lines) {
  to.insert(to.end(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
}

// What stands above the curves.
Lines top_lines(const WatchView& view, std::size_t columns, std::size_t rows) {
  Lines lines{header(view, columns)};
  if (view.runs.empty()) {
    lines.push_back(Row(view, columns).add("no runs").text());
    return lines;
  }
  const std::size_t listed = std::min(view.runs.size(), std::max<std::size_t>(1, rows / 5));
  const std::size_t first = first_shown(view.runs.size(), listed, view.selected);
  for (std::size_t i = first; i < first + listed; ++i)
    lines.push_back(run_line(view, i, columns));
  const WatchedRun& run = view.runs[view.selected];
  const bool tells = run.state != track::RunState::running &&
                     run.state != track::RunState::succeeded && !run.reason.empty();
  if (tells) lines.push_back(Row(view, columns).add(run.reason, style_of(run.state)).text());
  if (run.progress) lines.push_back(progress_line(view, *run.progress, columns));
  append(lines, metric_lines(view, run, columns, std::max<std::size_t>(1, rows / 10)));
  return lines;
}

// How many rows of `rest` the curves get; the log has the others.
std::size_t chart_share(const WatchView& view, std::size_t columns, std::size_t rest) {
  if (view.curves.empty() || columns < least_chart_columns || rest < least_chart_rows) return 0;
  const std::size_t lines = std::max<std::size_t>(1, view.log.size());
  const std::size_t log = std::min(1 + lines, std::max<std::size_t>(4, rest * 2 / 5));
  if (rest >= least_chart_rows + log) return rest - log;
  return rest >= least_chart_rows + 2 ? least_chart_rows : 0;
}

} // namespace

std::vector<std::string> watch_frame(const WatchView& view, std::size_t columns, std::size_t rows) {
  columns = std::clamp<std::size_t>(columns, 1, 2000);
  rows = std::clamp<std::size_t>(rows, 1, 1000);
  Lines lines = top_lines(view, columns, rows);
  Lines bottom;
  if (view.live && rows >= 6) bottom.push_back(keys_line(view, columns));
  Lines gpus;
  if (rows >= 12) gpus = gpu_lines(view, columns, std::max<std::size_t>(1, rows / 8));
  const std::size_t fixed = lines.size() + gpus.size() + bottom.size();
  if (fixed < rows) {
    const std::size_t rest = rows - fixed;
    const std::size_t chart = chart_share(view, columns, rest);
    if (chart > 0) append(lines, chart_lines(view, columns, chart));
    append(lines, std::move(gpus));
    if (!view.runs.empty()) append(lines, log_lines(view, columns, rest - chart));
  }
  lines.resize(std::min(lines.size(), rows - bottom.size()));
  if (view.live) lines.resize(rows - bottom.size());
  append(lines, std::move(bottom));
  return lines;
}

} // namespace mlp
