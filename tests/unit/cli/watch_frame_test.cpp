// Frames of `mlp watch` at several sizes.
#include "cli/watch_frame.hpp"
#include "core/base/text.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <cmath>
#include <limits>

using namespace mlp;
using Catch::Contains;

namespace {

WatchedRun some_run(const std::string& id) {
  return {.id = id,
          .task = "train",
          .name = "first try",
          .state = track::RunState::running,
          .reason = "",
          .took = "4 min 10 s",
          .attempts = 1,
          .progress =
              track::RunProgress{35'000, 60'000, "epoch 3 of 5", std::chrono::duration<double>(80)},
          .metrics = {{"accuracy", 0.95}, {"loss", 0.125}}};
}

WatchView some_view() {
  WatchView view;
  view.project = "digits";
  view.clock = "12:31:05";
  view.runs = {some_run("20260131-120000-k3f9qx")};
  view.metric = "loss";
  view.curves = {{"20260131-120000-k3f9qx", {}}};
  for (int i = 0; i <= 100; ++i)
    view.curves[0].points.push_back({double(i), 1 - i / 100.0});
  view.x_label = "step";
  gpu::Gpu gpu;
  gpu.model = "NVIDIA H200";
  gpu.utilization = 87;
  gpu.memory_used = 34ull << 30;
  gpu.memory_total = 140ull << 30;
  gpu.temperature = 65;
  gpu.power = 420;
  view.gpus = {gpu};
  view.log_title = "standard output";
  view.log = {"step 98", "step 99", "step 100"};
  return view;
}

std::string text_of(const std::vector<std::string>& lines) {
  std::string out = "\n";
  for (const std::string& line : lines)
    out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  return out;
}

} // namespace

TEST_CASE("a frame of 80 x 24", "[watch]") {
  CHECK(text_of(watch_frame(some_view(), 80, 24)) == R"(
mlp watch  digits                                                       12:31:05
20260131-120000-k3f9qx  running    4 min 10 s  train  first try
████████████░░░░░░░░  58 %  35,000 of 60,000  1 min 20 s left  epoch 3 of 5
 accuracy 0.95 [loss 0.125]
loss
1.0 ┤⠉⠒⠢⠤⣀⣀⡀
    │      ⠈⠉⠒⠢⠤⢄⣀
0.8 ┤             ⠉⠑⠒⠒⠤⢄⣀
    │                    ⠉⠉⠒⠢⠤⣀⣀⡀
0.6 ┤                           ⠈⠉⠒⠢⠤⢄⣀
    │                                  ⠉⠑⠒⠤⠤⣀⡀
0.4 ┤                                        ⠈⠉⠒⠒⠢⠤⣀⡀
    │                                               ⠈⠉⠑⠒⠤⢄⣀⣀
0.2 ┤                                                       ⠉⠑⠒⠤⠤⣀⡀
    │                                                             ⠈⠉⠒⠒⠢⠤⣀⡀
0.0 ┤                                                                    ⠈⠉⠑⠒⠤⢄⣀
    └┴──────────────┴──────────────┴─────────────┴──────────────┴──────────────┴
     0             20             40            60             80            100
GPU 0  H200  █████████░  87 %  34.0 GiB of 140.0 GiB  65 C  420 W
── standard output ─────────────────────────────────────────────────────────────
step 98
step 99
step 100
q quit  ←→ metric  l log  p pause
)");
}

TEST_CASE("a frame of plain ASCII for two runs", "[watch]") {
  WatchView view = some_view();
  view.unicode = false;
  view.runs.push_back(some_run("20260131-110000-0d7m2w"));
  view.runs[1].name = "é";
  view.runs[1].state = track::RunState::failed;
  view.runs[1].reason = "exit code 3";
  view.runs[1].progress.reset();
  view.selected = 1;
  view.paused = true;
  view.log.clear();
  view.gpus[0].lost = "GPU is lost";
  CHECK(text_of(watch_frame(view, 60, 20)) == R"(
mlp watch  digits  run 2 of 2               paused  12:31:05
  20260131-120000-k3f9qx  running    4 min 10 s  loss 0.125
> 20260131-110000-0d7m2w  failed     4 min 10 s  loss 0.125
exit code 3
 accuracy 0.95 [loss 0.125]
loss
1.0 +*****
    |    ********
    |            ********
    |                   ********
0.5 +                           *********
    |                                   ********
    |                                           ********
0.0 +                                                  *****
    ++----------+----------+---------+----------+----------+
     0         20         40        60         80        100
GPU 0  H200  lost: GPU is lost
-- standard output -----------------------------------------
nothing yet
q quit  arrows run, metric  a all runs  l log  p pause
)");
}

TEST_CASE("a frame fits any size", "[watch]") {
  WatchView view = some_view();
  for (int i = 0; i < 30; ++i)
    view.runs.push_back(some_run(fmt::format("run-{}", i)));
  for (int i = 0; i < 200; ++i) {
    view.runs[7].metrics.emplace_back(fmt::format("漢字-metric-{}", i), i);
    view.log.push_back(std::string(300, 'x') + "漢字");
  }
  view.gpus.resize(16, view.gpus[0]);
  view.selected = 7;
  view.metric = view.runs[7].metrics[150].first;
  for (const bool live : {true, false})
    for (const bool color : {true, false}) {
      view.live = live;
      view.color = color;
      for (std::size_t columns = 1; columns <= 140; columns += columns < 40 ? 1 : 9)
        for (std::size_t rows = 1; rows <= 60; ++rows) {
          const std::vector<std::string> lines = watch_frame(view, columns, rows);
          REQUIRE(lines.size() <= rows);
          if (live) REQUIRE(lines.size() == rows);
          if (color) continue;
          for (const std::string& line : lines) {
            INFO(columns << " x " << rows << ": " << line);
            REQUIRE(display_width(line) <= columns);
            REQUIRE(line.find('\033') == std::string::npos);
          }
        }
    }
  // What is selected is in view.
  view.color = false;
  const std::string text = text_of(watch_frame(view, 80, 24));
  CHECK_THAT(text, Contains("> run-6") && Contains("[漢字-metric-148 148]"));
}

TEST_CASE("nothing from outside reaches the terminal but as text", "[watch]") {
  const std::string evil = "a\033]0;x\a\x1b[2J\n\r\x9b\xc2\x9b\xe2\x80\xae\xff";
  WatchView view = some_view();
  view.project = evil;
  view.metric = evil;
  view.runs[0].metrics = {{evil, 1}};
  view.curves[0].label = evil;
  view.curves.push_back(view.curves[0]);
  view.x_label = evil;
  view.runs[0].task = view.runs[0].name = view.runs[0].reason = view.runs[0].id = evil;
  view.runs[0].state = track::RunState::failed;
  view.runs[0].progress->note = evil;
  view.gpus[0].model = evil;
  view.gpus.push_back(view.gpus[0]);
  view.gpus[1].lost = evil;
  view.log_title = evil;
  view.log = {evil};
  for (const bool unicode : {true, false}) {
    view.unicode = unicode;
    for (const std::string& line : watch_frame(view, 200, 50))
      for (std::size_t i = 0; i < line.size(); ++i) {
        const auto byte = static_cast<unsigned char>(line[i]);
        REQUIRE(byte >= 0x20);
        REQUIRE(byte != 0x7f);
        if (!unicode) REQUIRE(byte < 0x80);
        REQUIRE(line.compare(i, 2, "\xc2\x9b") != 0);
        REQUIRE(line.compare(i, 3, "\xe2\x80\xae") != 0);
      }
  }
}

TEST_CASE("colour is escapes around the same text, and none without it", "[watch]") {
  WatchView view = some_view();
  const std::vector<std::string> plain = watch_frame(view, 80, 24);
  view.color = true;
  std::vector<std::string> colored = watch_frame(view, 80, 24);
  CHECK(colored != plain);
  for (std::string& line : colored)
    line = shown_line(line);
  CHECK(colored == plain);
}

TEST_CASE("a frame without metrics, GPUs, log or runs is a frame", "[watch]") {
  WatchView view;
  view.project = "digits";
  CHECK_THAT(text_of(watch_frame(view, 80, 24)), Contains("no runs"));
  view.runs = {{.id = "20260131-120000-k3f9qx"}};
  view.runs[0].reason = "waits for 2 GPUs";
  const std::string text = text_of(watch_frame(view, 80, 24));
  CHECK_THAT(text, Contains("pending") && Contains("waits for 2 GPUs") && Contains("nothing yet"));
  view.runs[0].progress = track::RunProgress{};
  view.runs[0].metrics = {{"nan", std::numeric_limits<double>::quiet_NaN()}};
  CHECK_THAT(text_of(watch_frame(view, 80, 24)), Contains("nan nan"));
}
