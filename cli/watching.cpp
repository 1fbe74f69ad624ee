// Each run is read on from where reading stopped; which runs there are is looked up in the index.
#include "cli/watching.hpp"

#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/gpu/nvml.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <mutex>
#include <thread>

namespace mlp {

namespace {

constexpr std::size_t most_runs = 50;
constexpr std::size_t stretches = 1u << 20; // of all curves of all runs: 40 MiB
constexpr std::chrono::seconds discovery_interval{2};

std::string clock_text(WallTime now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

std::string took_text(const track::RunRecord& run, WallTime now) {
  if (!run.started) return {};
  const WallTime end = run.ended ? *run.ended : track::is_active(run.state) ? now : run.since;
  return format_duration(std::chrono::duration_cast<std::chrono::seconds>(end - *run.started));
}

// The newest values: those of the program before samples of the machine.
std::vector<std::pair<std::string, double>> metrics_of(const track::RunRecord& run) {
  std::vector<std::pair<std::string, double>> out(run.metrics.begin(), run.metrics.end());
  std::stable_partition(out.begin(), out.end(), [](const auto& metric) {
    return !metric.first.starts_with(track::system_prefix);
  });
  return out;
}

WatchedRun watched(const track::RunTail& tail, WallTime now) {
  const track::RunRecord& run = tail.record();
  return {.id = run.spec.id,
          .task = run.spec.task,
          .name = run.spec.name,
          .state = run.state,
          .reason = run.reason,
          .took = took_text(run, now),
          .attempts = run.attempts,
          .progress = tail.progress(),
          .metrics = metrics_of(run)};
}

struct FileLook {
  bool is_empty = true;
  std::int64_t changed = 0; // nanoseconds
};
FileLook look_at(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_size == 0,
          std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

} // namespace

struct GpuWatch::State {
  gpu::Nvml nvml;
  mutable std::mutex mutex;
  std::condition_variable_any wake;
  std::vector<gpu::Gpu> gpus;
  std::jthread thread; // last: it ends before what it uses
};

namespace {

// No XIDs: watching them is for `mlp gpu check`.
std::vector<gpu::Gpu> read_gpus(const gpu::Nvml& nvml) {
  gpu::Inventory inventory = nvml.read(false, "/dev/null");
  if (inventory.state != gpu::Driver::ready) return {};
  return std::move(inventory.gpus);
}

} // namespace

GpuWatch::GpuWatch(std::chrono::milliseconds interval) : state_(std::make_unique<State>()) {
  if (!state_->nvml.ok()) return;
  // Signals are for the thread that draws.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  state_->thread = std::jthread([state = state_.get(), interval](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::vector<gpu::Gpu> gpus = read_gpus(state->nvml);
      std::unique_lock lock(state->mutex);
      state->gpus = std::move(gpus);
      state->wake.wait_for(lock, stop, interval, [] { return false; });
    }
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

GpuWatch::~GpuWatch() = default;

std::vector<gpu::Gpu> GpuWatch::gpus() const {
  const std::lock_guard lock(state_->mutex);
  return state_->gpus;
}

std::vector<gpu::Gpu> read_gpus() {
  const gpu::Nvml nvml;
  return nvml.ok() ? read_gpus(nvml) : std::vector<gpu::Gpu>{};
}

struct RunsWatch::Discovery {
  explicit Discovery(track::IndexPaths paths) : index(std::move(paths)) {}
  track::RunIndex index;
  std::chrono::steady_clock::time_point next{};
};

RunsWatch::RunsWatch(Session& session, const std::vector<std::string>& references)
    : session_(session) {
  if (references.size() > most_runs)
    throw Error(ErrorKind::usage, fmt::format("{} runs are too many to watch", references.size()))
        .with_hint(fmt::format("at most {}", most_runs));
  for (const std::string& reference : references)
    add(find_run_folder(session, reference));
  if (!references.empty()) return;
  discovery_ = std::make_unique<Discovery>(index_paths(session.project()));
  discover();
  if (runs_.empty()) add(find_run_folder(session, "latest"));
}

RunsWatch::~RunsWatch() = default;

void RunsWatch::add(const track::RunFolder& folder) {
  if (std::any_of(runs_.begin(), runs_.end(),
                  [&](const auto& run) { return run->record().spec.id == folder.id(); }))
    return;
  auto tail = std::make_unique<track::RunTail>(folder, stretches / most_runs);
  const auto later = [](const auto& a, const auto& b) {
    const track::RunSpec &one = a->record().spec, &other = b->record().spec;
    return std::tie(one.created, one.id) > std::tie(other.created, other.id);
  };
  runs_.insert(std::upper_bound(runs_.begin(), runs_.end(), tail, later), std::move(tail));
}

// Runs that ended stay in view; the oldest of them make room for new ones.
void RunsWatch::discover() {
  const auto now = std::chrono::steady_clock::now();
  if (!discovery_ || now < discovery_->next) return;
  discovery_->next = now + discovery_interval;
  discovery_->index.sync(1);
  track::RunFilter active;
  for (const track::RunState state : track::all_states())
    if (track::is_active(state)) active.states.push_back(state);
  active.limit = most_runs;
  for (const track::RunRow& row : discovery_->index.list(active)) {
    if (!row.problem.empty()) continue;
    try {
      add({session_.project().runs() / row.id});
    } catch (const Error&) { // removed meanwhile
    }
  }
  while (runs_.size() > most_runs) {
    const auto ended = std::find_if(runs_.rbegin(), runs_.rend(), [](const auto& run) {
      return !track::is_active(run->record().state);
    });
    runs_.erase(ended == runs_.rend() ? runs_.end() - 1 : std::next(ended).base());
  }
}

bool RunsWatch::update(std::uint64_t most) {
  now_ = wall_now();
  discover();
  // A run that was removed has nothing more to show.
  if (discovery_ && runs_.size() > 1)
    std::erase_if(runs_, [](const auto& run) {
      struct stat info {};
      return ::stat(run->record().folder.root.c_str(), &info) != 0;
    });
  bool more = false;
  for (const auto& run : runs_)
    more = run->update(now_, most) || more;
  return more;
}

namespace {

// Runs and metrics are lists that end where they end.
template <class List>
std::size_t moved(const List& list, std::size_t at, int by) {
  const auto last = static_cast<std::ptrdiff_t>(list.size()) - 1;
  return static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(at) + by,
                                                             0, std::max<std::ptrdiff_t>(last, 0)));
}

} // namespace

std::size_t RunsWatch::selected_at() const {
  for (std::size_t i = 0; i < runs_.size(); ++i)
    if (runs_[i]->record().spec.id == selected_) return i;
  // Not chosen yet: the newest that runs.
  for (std::size_t i = 0; i < runs_.size(); ++i)
    if (track::is_active(runs_[i]->record().state)) return i;
  return 0;
}

void RunsWatch::select_next(int by) {
  if (!runs_.empty()) selected_ = runs_[moved(runs_, selected_at(), by)]->record().spec.id;
}

void RunsWatch::select_next_metric(int by) {
  if (runs_.empty()) return;
  const track::RunTail& run = *runs_[selected_at()];
  const auto metrics = metrics_of(run.record());
  if (metrics.empty()) return;
  const auto at = std::find_if(metrics.begin(), metrics.end(),
                               [&](const auto& metric) { return metric.first == metric_of(run); });
  metric_ = metrics[moved(metrics, static_cast<std::size_t>(at - metrics.begin()), by)].first;
}

// The user's choice, or else the loss, or else what has the most points.
std::string RunsWatch::metric_of(const track::RunTail& run) const {
  const auto& metrics = run.record().metrics;
  if (metrics.contains(metric_)) return metric_;
  if (metrics.contains("loss")) return "loss";
  std::string best;
  std::size_t most = 0;
  for (const auto& [name, value] : metrics_of(run.record()))
    if (const std::size_t points = run.curve_size(name);
        best.empty() || (points > most && !name.starts_with(track::system_prefix))) {
      best = name;
      most = points;
    }
  return best;
}

RunsWatch::Log RunsWatch::log_of(const track::RunFolder& folder) const {
  if (log_ != Log::newer) return log_;
  const FileLook out = look_at(folder.stdout_log()), err = look_at(folder.stderr_log());
  if (err.is_empty) return Log::out;
  return out.is_empty || err.changed > out.changed ? Log::err : Log::out;
}

void RunsWatch::toggle_log() {
  if (runs_.empty()) return;
  log_ = log_of(runs_[selected_at()]->record().folder) == Log::out ? Log::err : Log::out;
}

std::vector<const track::RunTail*> RunsWatch::runs() const {
  std::vector<const track::RunTail*> out;
  for (const auto& run : runs_)
    out.push_back(run.get());
  return out;
}

WatchView RunsWatch::view(std::size_t log_lines) const {
  WatchView view;
  view.clock = clock_text(now_);
  if (runs_.empty()) return view;
  view.selected = selected_at();
  for (const auto& run : runs_)
    view.runs.push_back(watched(*run, now_));
  const track::RunTail& selected = *runs_[view.selected];
  view.project = selected.record().spec.project;
  view.metric = metric_of(selected);
  bool steps = true;
  for (const auto& run : runs_) {
    if (!all_ && run.get() != &selected) continue;
    track::ChartSeries series{run->record().spec.id, run->curve(view.metric)};
    if (series.points.empty()) continue;
    view.curves.push_back(std::move(series));
    steps = steps && run->has_steps(view.metric);
  }
  view.x_label = steps ? "step" : "point";
  const track::RunFolder& folder = selected.record().folder;
  const bool out = log_of(folder) == Log::out;
  view.log_title = out ? "standard output" : "standard error";
  view.log = last_lines(out ? folder.stdout_log() : folder.stderr_log(), log_lines);
  return view;
}

} // namespace mlp
