// `mlp watch`: runs as they go, on the whole terminal; elsewhere how they are now.
#include "cli/completers.hpp"
#include "cli/gpus.hpp"
#include "cli/runs.hpp"
#include "cli/screen.hpp"
#include "cli/terminal.hpp"
#include "cli/watching.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/log.hpp"
#include "core/base/process.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace mlp {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds refresh{250};
constexpr std::chrono::milliseconds gpu_interval{1000};
// Of a journal, between two looks at the keys: a few tens of milliseconds.
constexpr std::uint64_t slice_bytes = 1u << 20;

bool is_full_screen(Session& session) {
  return !session.output().options().json && ::isatty(STDOUT_FILENO) == 1 &&
         get_env("TERM").value_or("dumb") != "dumb";
}

Json record_of(const RunsWatch& watch, const std::vector<gpu::Gpu>& gpus) {
  Json runs = json_array();
  for (const track::RunTail* tail : watch.runs()) {
    Json run = run_json(tail->record());
    if (const auto& progress = tail->progress())
      run["progress"] = json_object(
          {{"done", progress->done}, {"total", progress->total}, {"note", progress->note}});
    runs.push_back(std::move(run));
  }
  Json list = json_array();
  for (const gpu::Gpu& gpu : gpus)
    list.push_back(gpu_json(gpu));
  return json_object({{"runs", std::move(runs)}, {"gpus", std::move(list)}});
}

// 80 x 24 of plain text, once.
void print_snapshot(Session& session, RunsWatch& watch, bool unicode) {
  const std::stop_token stop = session.stop_token();
  while (watch.update(slice_bytes))
    throw_if_stopped(stop);
  WatchView view = watch.view(24);
  view.gpus = read_gpus();
  view.live = false;
  view.unicode = unicode;
  view.color = session.output().draws_color();
  std::string text;
  for (const std::string& line : watch_frame(view, 80, 24))
    text += line + '\n';
  session.output().emit(record_of(watch, view.gpus), TextView{text});
}

// False: the user has seen enough.
bool obey(KeyPress press, RunsWatch& watch, Screen& screen, bool& paused) {
  switch (press.key) {
  case Key::quit:
    return false;
  case Key::suspend:
    screen.suspend();
    break;
  case Key::up:
    watch.select_next(-1);
    break;
  case Key::down:
    watch.select_next(1);
    break;
  case Key::left:
    watch.select_next_metric(-1);
    break;
  case Key::right:
    watch.select_next_metric(1);
    break;
  case Key::other:
    if (press.letter == 'p' || press.letter == ' ') paused = !paused;
    if (press.letter == 'l') watch.toggle_log();
    if (press.letter == 'a') watch.toggle_all();
    break;
  }
  return true;
}

// Messages would be written across the screen.
class WithoutLog {
 public:
  explicit WithoutLog(Output& output) : output_(output) { set_log_sink(nullptr); }
  ~WithoutLog() { set_log_sink(&output_.log_sink()); }
  WithoutLog(const WithoutLog&) = delete;

 private:
  Output& output_;
};

void show(Session& session, RunsWatch& watch, bool unicode) {
  const WithoutLog quiet(session.output());
  const GpuWatch gpus(gpu_interval);
  Screen screen;
  bool paused = false;
  std::vector<gpu::Gpu> shown_gpus; // as they were when it was paused
  while (screen.stopped() == 0) {
    const auto next = Clock::now() + refresh;
    const bool more = !paused && watch.update(slice_bytes);
    const ScreenSize size = screen.size();
    WatchView view = watch.view(size.rows);
    if (!paused) shown_gpus = gpus.gpus();
    view.gpus = shown_gpus;
    view.paused = paused;
    view.unicode = unicode;
    view.color = session.output().draws_color();
    screen.draw(watch_frame(view, size.columns, size.rows), size);
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next - Clock::now());
    for (const KeyPress press :
         screen.wait(more ? std::chrono::milliseconds(0) : std::max(left, refresh / 10)))
      if (!obey(press, watch, screen, paused)) return;
  }
  throw Error(ErrorKind::interrupted, "interrupted");
}

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const bool unicode = !arguments.has("--ascii") && is_utf8_locale();
  RunsWatch watch(session, arguments.all("RUN"));
  if (is_full_screen(session))
    show(session, watch, unicode);
  else
    print_snapshot(session, watch, unicode);
}

} // namespace

extern const Command watch_command;
const Command watch_command = {
    .path = "watch",
    .summary = "watch runs as they go: progress, curves, GPUs and output",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own; else all that run",
                   .required = false,
                   .repeated = true,
                   .complete = complete_runs}},
    .options = {{.name = "--ascii", .help = "draw with plain characters"}},
    .examples = {{"mlp watch", "what runs now, or the newest run"},
                 {"mlp watch k3f9qx 0d7m2w", "two runs"},
                 {"mlp watch latest | cat", "how it is now, once"}},
    .run = run};

} // namespace mlp
