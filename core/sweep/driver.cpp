// The loop over trials. A failure anywhere stops what runs before it is told.
#include "core/sweep/driver.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/job/supervisor.hpp"
#include "core/sweep/searcher.hpp"
#include "core/sweep/trial_watch.hpp"
#include "core/track/annotations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <thread>

namespace mlp::sweep {

namespace {

using Clock = std::chrono::steady_clock;
using track::RunState;

constexpr std::chrono::milliseconds shortest_pause{5};
constexpr std::chrono::milliseconds longest_pause{100};
constexpr std::chrono::seconds lock_wait{2};
// Beyond a run's own grace period: its supervisor has something to write down.
constexpr std::chrono::seconds end_allowance{30};
constexpr std::size_t hopeless_failures = 3;
constexpr std::string_view stopped_reason = "its sweep was stopped";

class Driver {
 public:
  Driver(SweepRecord record, const config::Project& project, job::Backend& backend,
         const DriverHooks& hooks)
      : sweep_(std::move(record)), project_(project), backend_(backend), hooks_(hooks),
        writer_(sweep_.folder), text_(read_file(sweep_.folder.project_file())),
        file_(config::parse_project_file(text_)), resources_(file_.task(task()).resources),
        searcher_(sweep_.spec.entry.searcher, Space(sweep_.spec.entry.parameters)) {}

  SweepRecord drive() {
    writer_.state(SweepState::running, sweep_.trials.empty() ? "started" : "resumed");
    try {
      rebuild();
      loop();
      if (!stopping_) finish();
    } catch (const Error& error) {
      give_up(error.message());
      throw;
    } catch (const std::exception& error) {
      give_up(error.what());
      throw;
    }
    writer_.state(stopping_ ? SweepState::stopped : SweepState::finished, reason_);
    sweep_.state = stopping_ ? SweepState::stopped : SweepState::finished;
    sweep_.reason = reason_;
    return std::move(sweep_);
  }

  // For a sweep that nobody drives: ends what runs.
  void only_stop(const std::string& reason, bool now, const std::function<bool()>& keep_waiting) {
    rebuild(false);
    stop_running(reason, now);
    wait_for_end(keep_waiting);
    writer_.state(SweepState::stopped, reason);
  }

 private:
  struct Active {
    std::uint64_t number;
    TrialWatch watch;
    bool cancelled = false;
  };

  [[nodiscard]] const std::string& task() const { return sweep_.spec.entry.task; }
  [[nodiscard]] const std::string& metric() const { return sweep_.spec.entry.searcher.metric; }
  SweepTrial& trial(std::uint64_t number) { return sweep_.trials[number - 1]; }

  [[nodiscard]] track::RunFolder run_of(const SweepTrial& trial) const {
    return {project_.runs() / trial.run};
  }

  // Tells the searcher everything that the journals know, and takes up what has not ended.
  void rebuild(bool starts = true) {
    for (std::size_t i = 0; i < sweep_.trials.size(); ++i) {
      SweepTrial& known = sweep_.trials[i];
      searcher_.started(searcher_.space().point_of(known.params));
      TrialWatch watch(run_of(known), metric());
      if (known.state == TrialState::running) {
        if (starts || fs::exists(watch.run().spec())) adopt(known, std::move(watch), starts);
        continue;
      }
      count_end(known);
      if (searcher_.stops_early()) replay(known.number, watch);
      searcher_.ended(known.number, known.state, known.value);
    }
  }

  // What was decided stands in the journal; here only the searcher learns what it decided by.
  void replay(std::uint64_t number, TrialWatch& watch) {
    watch.take_metrics(
        [&](double step, double value) { (void)searcher_.report(number, step, value); });
  }

  void adopt(SweepTrial& known, TrialWatch watch, bool starts) {
    const bool exists = fs::exists(watch.run().spec());
    if (exists) replay(known.number, watch);
    if (starts) {
      if (!exists) create(known);
      start(known, watch);
    }
    active_.push_back({known.number, std::move(watch)});
    // Whether its run was told is not known.
    if (known.stopping) cancel(active_.back(), *known.stopping, false);
  }

  void create(const SweepTrial& made) {
    config::OrderedMap<config::Scalar> overrides;
    for (const auto& [name, text] : made.params)
      overrides.set(name, config::parse_scalar(text));
    const config::Task resolved = config::resolve_task(file_, task(), overrides);
    track::RunSpec spec = sweep_.spec.trial;
    spec.id = made.run;
    spec.created = wall_now();
    spec.name = fmt::format("{} trial {}", sweep_.spec.name, made.number);
    spec.sweep = sweep_.spec.id;
    spec.trial = made.number;
    spec.overrides = made.params;
    spec.params.clear();
    for (const auto& entry : resolved.params)
      spec.params[entry.name] = dump_json(entry.value.to_json());
    // Of now: somebody may have changed it since the sweep began.
    const job::CapturedCode code =
        job::capture_code(project_, config::dataset_paths(file_), hooks_.code_limits);
    spec.source = code.source;
    const track::RunFolder run = track::create_run(project_.runs(), spec, text_,
                                                   fmt::format("trial {} of a sweep", made.number));
    if (!code.left_out.empty())
      track::RunWriter(run).event("warning", json_object({{"message", code.left_out}}));
    const std::vector<std::string> tags{"sweep-" + sweep_.spec.id};
    (void)track::tag_run(run, tags, {});
  }

  // Hands a run over that is not under way: a new one, or one that the end of a driver or of the
  // machine has stopped short.
  void start(const SweepTrial& known, const TrialWatch& watch) {
    const track::RunRecord run = track::read_run(watch.run());
    const bool stopped_short = run.state == RunState::lost || run.state == RunState::preempted ||
                               (run.state == RunState::cancelled && run.reason == stopped_reason);
    if (stopped_short && !known.stopping) job::enqueue(watch.run(), "resumed", backend_.name());
    if (stopped_short || run.state == RunState::pending || run.state == RunState::queued)
      submit(run.spec);
  }

  void submit(const track::RunSpec& spec) {
    (void)backend_.submit({.run_id = spec.id,
                           .run_folder = project_.runs() / spec.id,
                           .project = project_.root,
                           .resources = resources_,
                           .num_nodes = spec.num_nodes});
  }

  // One more trial, if there is to be one.
  bool start_next() {
    const auto most = static_cast<std::size_t>(sweep_.spec.entry.searcher.max_concurrent);
    if (active_.size() >= most) return false;
    auto point = searcher_.suggest();
    if (!point) return false;
    SweepTrial next;
    next.number = searcher_.trials() + 1;
    next.run = new_run_id(wall_now());
    next.params = searcher_.space().texts_of(*point);
    writer_.trial(next);
    searcher_.started(std::move(*point));
    sweep_.trials.push_back(next);
    adopt(sweep_.trials.back(), TrialWatch(run_of(next), metric()), true);
    return true;
  }

  void loop() {
    auto pause = shortest_pause;
    while (true) {
      hear_wishes();
      bool any = false;
      while (!stopping_ && start_next())
        any = true;
      if (active_.empty()) return;
      any = look_at_trials() || any;
      if (stopping_ && Clock::now() > give_up_at_) return;
      if (hooks_.tick) hooks_.tick(progress());
      pause = any ? shortest_pause : std::min(pause * 2, longest_pause);
      std::this_thread::sleep_for(pause);
    }
  }

  // True if one has ended.
  bool look_at_trials() {
    bool any = false;
    for (auto each = active_.begin(); each != active_.end();) {
      // The state first: what was reported before the end is then there.
      const track::RunRecord* run = each->watch.ended();
      each->watch.take_metrics(
          [&](double step, double value) { judge(*each, step, value, run != nullptr); });
      if (run == nullptr || restarted(*each, *run)) {
        ++each;
        continue;
      }
      const track::RunRecord record = *run; // of the watch, which is moved next
      const Active ended = std::move(*each);
      each = active_.erase(each);
      any = true;
      take_end(ended, record);
    }
    return any;
  }

  void judge(Active& active, double step, double value, bool has_ended) {
    const auto why = searcher_.report(active.number, step, value);
    if (!why || has_ended || active.cancelled) return;
    trial(active.number).stopping = *why;
    writer_.stopping(active.number, *why);
    cancel(active, *why, false);
  }

  void cancel(Active& active, std::string_view reason, bool now) {
    active.cancelled = true;
    backend_.cancel(active.watch.run().root.native(), reason, now);
  }

  // As `mlp train` does for a run that it follows.
  bool restarted(Active& active, const track::RunRecord& run) {
    if (active.cancelled || stopping_ || !job::may_recover(run)) return false;
    if (job::enqueue(run.folder, "job_recovery: " + run.reason, backend_.name(), run.restarts + 1))
      submit(run.spec);
    active.watch.forget_state();
    return true;
  }

  void take_end(const Active& active, const track::RunRecord& run) {
    SweepTrial& ended = trial(active.number);
    ended.value = active.watch.value();
    ended.step = active.watch.step();
    if (run.state == RunState::succeeded) {
      ended.state = ended.value ? TrialState::finished : TrialState::failed;
      if (!ended.value) ended.reason = fmt::format("it reported no '{}'", metric());
    } else if (run.state != RunState::failed && ended.stopping) { // or lost on the way
      ended.state = TrialState::stopped;
      ended.reason = *ended.stopping;
    } else if (run.state == RunState::cancelled && stopping_) {
      return; // it goes on when the sweep does
    } else {
      ended.state = TrialState::failed;
      ended.reason = fmt::format("{}: {}", track::state_name(run.state), run.reason);
    }
    writer_.ended(ended);
    searcher_.ended(ended.number, ended.state, ended.value);
    count_end(ended);
    if (hooks_.trial_ended) hooks_.trial_ended(ended, progress());
    if (run.state == RunState::succeeded && !ended.value && !reported_)
      refuse_objective(ended, run);
    if (failures_ == hopeless_failures && !reported_) refuse_failures(ended);
  }

  void count_end(const SweepTrial& ended) {
    ++ended_;
    failures_ = ended.state == TrialState::failed ? failures_ + 1 : 0;
    if (ended.state != TrialState::finished || !ended.value) return;
    reported_ = true;
    if (best_ == 0 || searcher_.is_better(*ended.value, *trial(best_).value)) best_ = ended.number;
  }

  [[noreturn]] void refuse_objective(const SweepTrial& ended, const track::RunRecord& run) const {
    std::vector<std::string> names;
    for (const auto& [name, value] : run.metrics)
      names.push_back(name);
    Error error =
        file_.error_at({"sweeps", sweep_.spec.name, "searcher", "metric"},
                       fmt::format("trial {} reported no '{}'", ended.number, printable(metric())));
    if (const auto near = nearest_name(metric(), names))
      error.add_hint(fmt::format("did you mean '{}'?", printable(*near)));
    const std::size_t total = names.size();
    if (names.size() > 30) names.resize(30);
    error.add_hint(total == 0
                       ? "it reported no metric; a program does with: mlp log metric NAME=NUMBER"
                       : fmt::format("it reported: {}{}", printable(join(names, ", ")),
                                     total > names.size() ? ", ..." : ""));
    throw error;
  }

  [[noreturn]] void refuse_failures(const SweepTrial& last) const {
    throw Error(ErrorKind::run_failed,
                fmt::format("the first {} trials of sweep '{}' failed", ended_, sweep_.spec.id))
        .with_context(fmt::format("the last of them: {}", last.reason))
        .with_hint(fmt::format("see what it said: mlp runs logs {}", last.run));
  }

  void finish() {
    const SweepTrial* best = sweep_.best();
    if (best == nullptr)
      throw Error(ErrorKind::run_failed,
                  fmt::format("no trial of sweep '{}' came to its end with '{}'", sweep_.spec.id,
                              printable(metric())))
          .with_hint(fmt::format("see them: mlp sweep show {}", sweep_.spec.id));
    if (!sweep_.spec.model.empty() && sweep_.model.empty() && hooks_.register_best) {
      sweep_.model = hooks_.register_best(*best);
      writer_.model(sweep_.model);
    }
    reason_ = fmt::format("trial {} is the best", best->number);
  }

  void hear_wishes() {
    const auto take = [&](const Json& record) {
      const auto event = record.find("event"), reason = record.find("reason");
      if (event == record.end() || *event != "stop") return;
      const auto now = record.find("now");
      stop_running(reason != record.end() && reason->is_string() ? reason->get<std::string>()
                                                                 : std::string(stopped_reason),
                   now != record.end() && *now == true);
    };
    sweep_.events_end = track::read_journal(sweep_.folder.events(), sweep_.events_end, take).offset;
    const int wishes = hooks_.stop_wishes ? hooks_.stop_wishes() : 0;
    if (wishes > heard_) stop_running("interrupted from the terminal", wishes > 1);
    heard_ = wishes;
  }

  void stop_running(const std::string& reason, bool now) {
    if (stopping_ && !now) return;
    stopping_ = true;
    reason_ = reason;
    give_up_at_ = Clock::now() + end_allowance +
                  std::chrono::seconds(
                      static_cast<int>(std::clamp(sweep_.spec.trial.grace_seconds, 0.0, 3600.0)));
    for (Active& active : active_)
      if (!active.cancelled || now) {
        // The word by which a resume knows that the run is to go on.
        cancel(active, trial(active.number).stopping.value_or(std::string(stopped_reason)), now);
      }
  }

  void wait_for_end(const std::function<bool()>& keep_waiting) {
    while (!active_.empty() && Clock::now() <= give_up_at_ && (!keep_waiting || keep_waiting())) {
      (void)look_at_trials();
      std::this_thread::sleep_for(longest_pause / 5);
    }
  }

  // After an error: nothing that was started is left running, and the journal says why.
  void give_up(const std::string& why) noexcept {
    try {
      stop_running(why, false);
      reported_ = true; // one error is enough
      wait_for_end({});
      writer_.state(SweepState::failed, why);
    } catch (const std::exception&) { // the error that is being thrown says more
    }
  }

  [[nodiscard]] DriverProgress progress() {
    return {.ended = ended_,
            .running = active_.size(),
            .planned = searcher_.planned(),
            .best = best_ == 0 ? nullptr : &trial(best_)};
  }

  SweepRecord sweep_;
  const config::Project& project_;
  job::Backend& backend_;
  const DriverHooks& hooks_;
  SweepWriter writer_;
  std::string text_;
  config::ProjectFile file_;
  config::Resources resources_;
  Searcher searcher_;
  std::list<Active> active_;

  std::uint64_t ended_ = 0, best_ = 0;
  std::size_t failures_ = 0; // one after another
  bool reported_ = false;    // a trial came to its end with the objective
  bool stopping_ = false;
  int heard_ = 0;
  std::string reason_;
  Clock::time_point give_up_at_{};
};

FileLock lock_of(const SweepFolder& sweep) {
  return {sweep.driver_lock(), fmt::format("sweep '{}'", sweep.id()), lock_wait};
}

} // namespace

SweepRecord drive_sweep(const SweepFolder& sweep, const config::Project& project,
                        job::Backend& backend, const DriverHooks& hooks) {
  const FileLock lock = lock_of(sweep);
  SweepRecord record = read_sweep(sweep);
  if (record.state == SweepState::finished)
    throw Error(ErrorKind::conflict, fmt::format("sweep '{}' has finished", sweep.id()))
        .with_hint(fmt::format("see it with: mlp sweep show {}", sweep.id()));
  return Driver(std::move(record), project, backend, hooks).drive();
}

bool stop_sweep(const SweepFolder& sweep, const config::Project& project, job::Backend& backend,
                const std::string& reason, bool now, const std::function<bool()>& keep_waiting) {
  const SweepRecord before = read_sweep(sweep);
  if (before.state == SweepState::finished || before.state == SweepState::failed ||
      before.state == SweepState::stopped)
    return false;
  if (is_driven(sweep)) {
    SweepWriter(sweep).stop(reason, now);
    while (is_driven(sweep) && (!keep_waiting || keep_waiting()))
      std::this_thread::sleep_for(longest_pause / 5);
    if (is_driven(sweep)) return true;
    const SweepState state = read_sweep(sweep).state;
    if (state != SweepState::lost && state != SweepState::pending) return true;
  }
  const FileLock lock = lock_of(sweep);
  const DriverHooks none;
  Driver(read_sweep(sweep), project, backend, none).only_stop(reason, now, keep_waiting);
  return true;
}

} // namespace mlp::sweep
