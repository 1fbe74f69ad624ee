// The driver over a place that runs trials at once: whatever it was doing when it was killed, the
// next one starts no run twice and ends with the same trials.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/job/supervisor.hpp"
#include "core/sweep/driver.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <cmath>
#include <set>

using namespace mlp;
using namespace mlp::sweep;

namespace {

// Ends every run with success as soon as it has it, or with failure where `fails` says so.
class InstantPlace final : public job::Backend {
 public:
  std::map<std::string, int> submitted;
  std::function<bool(double x)> fails = [](double) { return false; };
  std::string metric = "loss";

  [[nodiscard]] std::string_view name() const noexcept override { return "instant"; }
  [[nodiscard]] job::Capabilities capabilities() const override { return {}; }
  [[nodiscard]] std::vector<job::Node> probe() override { return {}; }
  [[nodiscard]] std::string render(const job::JobSpec&) const override { return {}; }

  std::string submit(const job::JobSpec& job) override {
    const track::RunFolder run{job.run_folder};
    if (!job::enqueue(run, "now", name())) return run.root.native();
    ++submitted[job.run_id];
    track::RunWriter writer(run);
    writer.state(track::RunState::starting, "");
    writer.state(track::RunState::running, "");
    const double x = std::stod(track::read_run_spec(run).params.at("x"));
    track::JournalWriter metrics(run.metrics());
    metrics.append(json_object({{metric, std::fabs(x - 0.3)}, {"step", 1}}));
    const bool failed = fails(x);
    writer.state(failed ? track::RunState::failed : track::RunState::succeeded,
                 failed ? "exit code 1" : "");
    return run.root.native();
  }
  [[nodiscard]] std::vector<job::JobStatus> poll(std::span<const std::string>) override {
    return {};
  }
  void cancel(const std::string&, std::string_view, bool) override {}
  [[nodiscard]] job::LogChunk logs(const std::string&, job::LogStream, std::uint64_t,
                                   std::size_t) override {
    return {};
  }
};

std::string project_text(const std::string& searcher) {
  return "name: a\ntasks: {t: {run: 'true', params: {x: 0}}}\nsweeps:\n  s: {task: t, searcher: {" +
         searcher + "}, parameters: {x: {type: double, minval: 0, maxval: 1}}}\n";
}

SweepFolder make(const config::Project& project, const std::string& searcher) {
  const std::string text = project_text(searcher);
  write_file_atomic(project.file(), text);
  SweepSpec spec;
  spec.id = new_run_id(wall_now());
  spec.name = "s";
  spec.trial.id = spec.id;
  spec.trial.task = "t";
  return create_sweep(project.sweeps(), spec, text);
}

std::vector<std::string> points_of(const SweepRecord& sweep) {
  std::vector<std::string> out;
  for (const SweepTrial& trial : sweep.trials)
    out.push_back(trial.params.at("x"));
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t start = 0;
  for (std::size_t end = 0; (end = text.find('\n', start)) != std::string::npos; start = end + 1)
    out.push_back(text.substr(start, end + 1 - start));
  return out;
}

constexpr const char* tpe = "name: tpe, metric: loss, mode: min, max_trials: 6, startup_trials: 3";

} // namespace

TEST_CASE("a driver that is killed after any word is followed by one that repeats nothing") {
  const TemporaryDirectory dir;
  const config::Project project{dir.path()};
  const SweepFolder folder = make(project, tpe);
  InstantPlace place;
  const SweepRecord whole = drive_sweep(folder, project, place, {});
  REQUIRE(whole.state == SweepState::finished);
  REQUIRE(whole.trials.size() == 6);
  CHECK(place.submitted.size() == 6);
  const std::vector<std::string> lines = lines_of(read_file(folder.events()));
  for (std::size_t kept = 1; kept < lines.size(); ++kept)
    for (const bool last_run_was_made : {true, false}) {
      INFO(kept);
      const TemporaryDirectory copy;
      const config::Project again{copy.path()};
      fs::copy(dir.path(), copy.path(), fs::copy_options::recursive);
      const SweepFolder killed{again.sweeps() / folder.id()};
      std::string text;
      for (std::size_t i = 0; i < kept; ++i)
        text += lines[i];
      write_file_atomic(killed.events(), text + "{\"event\":\"tri"); // torn
      const SweepRecord before = read_sweep(killed);
      // What was not decided on yet was not made either.
      std::set<std::string> known;
      for (const SweepTrial& trial : before.trials)
        known.insert(trial.run);
      for (const SweepTrial& trial : whole.trials)
        if (!known.contains(trial.run)) fs::remove_all(again.runs() / trial.run);
      int missing = 0;
      if (!last_run_was_made && !before.trials.empty() &&
          before.trials.back().state == TrialState::running)
        missing = fs::remove_all(again.runs() / before.trials.back().run) != 0 ? 1 : 0;
      InstantPlace next;
      const SweepRecord after = drive_sweep(killed, again, next, {});
      CHECK(after.state == SweepState::finished);
      CHECK(points_of(after) == points_of(whole));
      CHECK(after.best()->number == whole.best()->number);
      CHECK(next.submitted.size() ==
            whole.trials.size() - before.trials.size() + static_cast<std::size_t>(missing));
      for (const auto& [run, times] : next.submitted)
        CHECK(times == 1);
    }
}

TEST_CASE("the best is registered before the sweep has finished, and once") {
  const TemporaryDirectory dir;
  const config::Project project{dir.path()};
  SweepSpec spec;
  spec.id = new_run_id(wall_now());
  spec.name = "s";
  spec.model = "m";
  spec.trial.id = spec.id;
  spec.trial.task = "t";
  const SweepFolder folder = create_sweep(project.sweeps(), spec, project_text(tpe));
  InstantPlace place;
  DriverHooks hooks;
  hooks.register_best = [](const SweepTrial&) -> std::string {
    throw Error(ErrorKind::not_found, "no model");
  };
  CHECK_THROWS_WITH(drive_sweep(folder, project, place, hooks), "no model");
  CHECK(read_sweep(folder).state == SweepState::failed);
  int calls = 0;
  hooks.register_best = [&](const SweepTrial& best) {
    ++calls;
    CHECK(best.number == read_sweep(folder).best()->number);
    return std::string("m@1");
  };
  CHECK(drive_sweep(folder, project, place, hooks).model == "m@1");
  CHECK(read_sweep(folder).model == "m@1");
  CHECK(calls == 1);
  CHECK(place.submitted.size() == 6);
  CHECK_THROWS_WITH(drive_sweep(folder, project, place, hooks),
                    fmt::format("sweep '{}' has finished", folder.id()));
}

TEST_CASE("one failure among others is passed over, three from the start are not") {
  const TemporaryDirectory dir;
  const config::Project project{dir.path()};
  InstantPlace place;
  place.fails = [](double x) { return x > 0.6; };
  const SweepRecord sweep = drive_sweep(make(project, tpe), project, place, {});
  CHECK(sweep.state == SweepState::finished);
  place.fails = [](double) { return true; };
  const SweepFolder hopeless = make(project, tpe);
  try {
    (void)drive_sweep(hopeless, project, place, {});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::run_failed);
    CHECK(error.message() == fmt::format("the first 3 trials of sweep '{}' failed", hopeless.id()));
    CHECK(error.contexts().front() == "the last of them: failed: exit code 1");
  }
  CHECK(read_sweep(hopeless).trials.size() == 3);
}

TEST_CASE("an objective that no run reports ends the sweep with the names that are reported") {
  const TemporaryDirectory dir;
  const config::Project project{dir.path()};
  InstantPlace place;
  place.metric = "val_loss";
  const SweepFolder folder = make(project, tpe);
  try {
    (void)drive_sweep(folder, project, place, {});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK(error.message() == "mlp.yaml:4:46: trial 1 reported no 'loss'");
    CHECK(error.hints().back() == "it reported: val_loss");
  }
  CHECK(place.submitted.size() == 1);
}

TEST_CASE("a second driver is refused while the first lives") {
  const TemporaryDirectory dir;
  const config::Project project{dir.path()};
  const SweepFolder folder = make(project, tpe);
  const FileLock other(folder.driver_lock(), "it", std::chrono::milliseconds(0));
  InstantPlace place;
  CHECK_THROWS_AS(drive_sweep(folder, project, place, {}), Error);
  CHECK(place.submitted.empty());
}
