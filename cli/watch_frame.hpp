// What `mlp watch` shows, as lines for a terminal of any size. A pure function of what is known, so
// that it can be tested without a terminal.
#pragma once

#include "core/gpu/gpu.hpp"
#include "core/track/chart.hpp"
#include "core/track/run_tail.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mlp {

struct WatchedRun {
  std::string id, task, name;
  track::RunState state = track::RunState::pending;
  std::string reason;
  std::string took; // "4 min 10 s"; empty before it started
  int attempts = 0;
  std::optional<track::RunProgress> progress;
  std::vector<std::pair<std::string, double>> metrics; // the newest values
};

// Texts may hold anything: what a terminal would act on is made visible by watch_frame().
struct WatchView {
  std::string project;
  std::string clock; // "12:31:05"
  std::vector<WatchedRun> runs;
  std::size_t selected = 0; // of `runs`
  std::string metric;       // of the selected run; empty: none
  std::vector<track::ChartSeries> curves;
  std::string x_label;
  std::vector<gpu::Gpu> gpus;
  std::string log_title;        // "standard output"
  std::vector<std::string> log; // the last lines, oldest first
  bool paused = false;
  bool live = true;    // with a line that tells the keys, at the bottom of a terminal
  bool unicode = true; // else ASCII alone
  bool color = false;  // else no escape sequence at all
};

// At most `rows` lines (with `live` exactly so many), each of at most `columns` columns, without
// newlines. What matters least is left out first where there is no room.
[[nodiscard]] std::vector<std::string> watch_frame(const WatchView& view, std::size_t columns,
                                                   std::size_t rows);

} // namespace mlp
