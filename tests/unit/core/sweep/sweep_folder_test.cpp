// A sweep on disk: what the journal says after a crash at any byte, damaged lines, who drives it,
// and how it is found.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/sweep/sweep_folder.hpp"
#include "core/sweep/trial_watch.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace mlp;
using namespace mlp::sweep;

namespace {

constexpr const char* project_text =
    "name: a\ntasks: {t: {run: 'true', params: {x: 0}}}\nsweeps:\n"
    "  s: {task: t, searcher: {name: random, metric: loss, mode: min, max_trials: 9}, "
    "parameters: {x: {type: double, minval: 0, maxval: 1}}}\n"
    "  up: {task: t, searcher: {name: random, metric: loss, mode: max, max_trials: 9}, "
    "parameters: {x: {type: double, minval: 0, maxval: 1}}}\n";

SweepFolder make(const fs::path& sweeps, const std::string& name) {
  SweepSpec spec;
  spec.id = new_run_id(wall_now());
  spec.name = name;
  spec.model = "m";
  spec.trial.id = spec.id;
  spec.trial.task = "t";
  spec.trial.created = wall_now();
  return create_sweep(sweeps, spec, project_text);
}

SweepTrial trial(std::uint64_t number, const std::string& x) {
  return {.number = number, .run = new_run_id(wall_now()), .params = {{"x", x}}};
}

SweepTrial ended(SweepTrial trial, TrialState state, std::optional<double> value) {
  trial.state = state;
  trial.value = value;
  trial.step = 4;
  return trial;
}

} // namespace

TEST_CASE("a sweep is read as it was written, with its searcher from its own mlp.yaml") {
  const TemporaryDirectory dir;
  const SweepFolder folder = make(dir.path() / "sweeps", "s");
  SweepRecord sweep = read_sweep(folder);
  CHECK(sweep.state == SweepState::pending);
  CHECK(sweep.spec.model == "m");
  CHECK(sweep.spec.entry.searcher.metric == "loss");
  CHECK(sweep.best() == nullptr);
  SweepWriter writer(folder);
  const SweepTrial first = trial(1, "0.5"), second = trial(2, "0.25");
  writer.trial(first);
  writer.trial(second);
  writer.stopping(2, "too slow");
  writer.ended(ended(first, TrialState::finished, 1.5));
  writer.stop("enough", true);
  writer.model("m@1");
  sweep = read_sweep(folder);
  REQUIRE(sweep.trials.size() == 2);
  CHECK(sweep.trials[0].value == 1.5);
  CHECK(sweep.trials[0].run == first.run);
  CHECK(sweep.trials[1].params.at("x") == "0.25");
  CHECK(sweep.trials[1].stopping == "too slow");
  CHECK(sweep.trials[1].state == TrialState::running);
  CHECK(sweep.stop_wish == "enough");
  CHECK(sweep.stop_now);
  CHECK(sweep.model == "m@1");
  CHECK(sweep.best()->number == 1);
  CHECK(sweep.damaged == 0);
  writer.state(SweepState::running, "resumed");
  CHECK_FALSE(read_sweep(folder).stop_wish);
}

TEST_CASE("the best is the finished trial with the best value, the first of equal ones") {
  const TemporaryDirectory dir;
  for (const std::string name : {"s", "up"}) {
    const SweepFolder folder = make(dir.path(), name);
    SweepWriter writer(folder);
    const std::vector<std::pair<TrialState, std::optional<double>>> ends{
        {TrialState::finished, 2.0}, {TrialState::stopped, 0.5},  {TrialState::finished, 1.0},
        {TrialState::finished, 1.0}, {TrialState::finished, 2.0}, {TrialState::stopped, 9.0},
        {TrialState::failed, {}}};
    std::uint64_t number = 0;
    for (const auto& [state, value] : ends) {
      const SweepTrial next = trial(++number, "0.1");
      writer.trial(next);
      writer.ended(ended(next, state, value));
    }
    CHECK(read_sweep(folder).best()->number == (name == "s" ? 3 : 1));
  }
}

TEST_CASE("a journal that was cut anywhere tells of a beginning of what was decided") {
  const TemporaryDirectory dir;
  const SweepFolder folder = make(dir.path(), "s");
  {
    SweepWriter writer(folder);
    for (std::uint64_t number = 1; number <= 3; ++number) {
      const SweepTrial next = trial(number, "0.5");
      writer.trial(next);
      writer.ended(ended(next, TrialState::finished, 1.0));
    }
  }
  const std::string whole = read_file(folder.events());
  std::size_t before = 0;
  for (std::size_t size = 0; size <= whole.size(); size += 7) {
    write_file_atomic(folder.events(), whole.substr(0, size));
    const SweepRecord sweep = read_sweep(folder);
    CHECK(sweep.trials.size() >= before);
    CHECK(sweep.damaged == 0);
    before = sweep.trials.size();
  }
  // A writer after a crash does not glue its record to the torn one.
  write_file_atomic(folder.events(), whole.substr(0, whole.size() - 5));
  SweepWriter(folder).trial(trial(4, "0.5"));
  CHECK(read_sweep(folder).trials.size() == 4);
  CHECK(read_sweep(folder).damaged == 1);
}

TEST_CASE("lines that make no sense are counted and passed over") {
  const TemporaryDirectory dir;
  const SweepFolder folder = make(dir.path(), "s");
  const std::string id = new_run_id(wall_now());
  const std::vector<std::string> lines{
      "nonsense",
      R"({"event":"trial","trial":2,"run":")" + id + R"(","params":{}})", // not the next
      R"({"event":"trial","trial":1,"run":"../../etc","params":{}})",
      R"({"event":"trial","trial":"1","run":")" + id + R"(","params":{}})",
      R"({"event":"trial","trial":1,"run":")" + id + R"(","params":[]})",
      R"({"event":"end","trial":1,"state":"finished","value":1})",
      R"({"event":"stopping","trial":0})",
      R"({"event":"state","state":"dancing"})",
      R"({"event":5})",
      R"({"event":"of a newer mlp"})"};
  track::JournalWriter writer(folder.events());
  for (const std::string& line : lines)
    writer.append_lines(line + "\n");
  writer.append_lines(R"({"event":"trial","trial":1,"run":")" + id + "\",\"params\":{\"x\":3}}\n");
  const SweepRecord sweep = read_sweep(folder);
  CHECK(sweep.trials.size() == 1);
  CHECK(sweep.trials[0].params.empty());
  CHECK(sweep.damaged == 8);
  write_file_atomic(folder.spec(), "{\"id\": 3}");
  CHECK_THROWS_AS(read_sweep(folder), Error);
}

TEST_CASE("a sweep that should run and that nobody drives is lost") {
  const TemporaryDirectory dir;
  const SweepFolder folder = make(dir.path(), "s");
  SweepWriter(folder).state(SweepState::running, "started");
  CHECK(read_sweep(folder).state == SweepState::lost);
  {
    const FileLock lock(folder.driver_lock(), "the sweep", std::chrono::milliseconds(0));
    CHECK(is_driven(folder));
    CHECK(read_sweep(folder).state == SweepState::running);
  }
  CHECK_FALSE(is_driven(folder));
}

TEST_CASE("a sweep is found by its name, by latest, and by a part of its id") {
  const TemporaryDirectory dir;
  CHECK_THROWS_WITH(find_sweep(dir.path() / "none", "latest"), "no sweep 'latest'");
  const SweepFolder first = make(dir.path(), "s");
  const SweepFolder second = make(dir.path(), "up");
  const SweepFolder third = make(dir.path(), "s");
  CHECK(find_sweep(dir.path(), "s").root == third.root);
  CHECK(find_sweep(dir.path(), "up").root == second.root);
  CHECK(find_sweep(dir.path(), first.id()).root == first.root);
  CHECK(find_sweep(dir.path(), first.id().substr(9)).root == first.root);
  CHECK(find_sweep(dir.path(), "latest").root == third.root);
  CHECK_THROWS_WITH(find_sweep(dir.path(), "20"), "'20' is part of the ids of 3 sweeps");
  CHECK_THROWS_WITH(find_sweep(dir.path(), "zzz"), "no sweep 'zzz'");
}

TEST_CASE("a watch takes each value once, with its step, epoch or place") {
  const TemporaryDirectory dir;
  const track::RunFolder run{dir.path()};
  TrialWatch watch(run, "loss");
  std::vector<std::pair<double, double>> seen;
  const auto take = [&](double step, double value) { seen.emplace_back(step, value); };
  watch.take_metrics(take);
  CHECK(seen.empty());
  track::JournalWriter writer(run.metrics());
  writer.append_lines("{\"loss\":3,\"step\":10}\n{\"acc\":1}\n{\"loss\":2,\"epoch\":2}\n");
  watch.take_metrics(take);
  writer.append_lines("{\"loss\":\"nan\"}\n{\"loss\":1e999}\nnonsense\n{\"loss\":1}\n{\"loss\":0");
  watch.take_metrics(take);
  watch.take_metrics(take);
  CHECK(seen == std::vector<std::pair<double, double>>{{10, 3}, {2, 2}, {3, 1}});
  CHECK(watch.value() == 1.0);
  CHECK(watch.step() == 3.0);
}
