// Runs as they grow: read on, never read again.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/track/annotations.hpp"
#include "core/track/run_tail.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <unistd.h>

using namespace mlp;
using namespace mlp::track;
using namespace std::chrono_literals;

namespace {

RunFolder run_in(const TemporaryDirectory& folder) {
  RunSpec spec;
  spec.id = new_run_id(wall_now());
  spec.task = "train";
  spec.created = wall_now();
  return create_run(folder.path() / "runs", spec, "name: digits\n", "made by a test");
}

void start(RunWriter& writer, const ProcessIdentity& supervisor) {
  writer.state(RunState::queued, "");
  writer.state(RunState::starting, "", json_object({{"supervisor", to_json(supervisor)}}));
  writer.state(RunState::running, "");
}

} // namespace

TEST_CASE("a tail takes in what was appended, a slice at a time", "[track]") {
  TemporaryDirectory folder;
  const RunFolder run = run_in(folder);
  RunTail tail(run, 1000);
  CHECK(tail.record().spec.task == "train");
  CHECK_FALSE(tail.update(wall_now()));
  CHECK(tail.record().state == RunState::pending);

  RunWriter writer(run);
  start(writer, this_process());
  JournalWriter metrics(run.metrics());
  for (int i = 1; i <= 1000; ++i)
    metrics.append({{"step", i * 10}, {"time", 5.0}, {"loss", 1.0 / i}, {"text", "no number"}});
  std::size_t slices = 0;
  while (tail.update(wall_now(), 4096))
    ++slices;
  CHECK(slices > 5);
  CHECK(tail.record().state == RunState::running);
  CHECK(tail.record().points == 1000);
  CHECK(tail.curve_size("loss") == 1000);
  CHECK(tail.curve("loss").front() == ChartPoint{10, 1});
  CHECK(tail.curve("loss").back() == ChartPoint{10'000, 1.0 / 1000});
  CHECK(tail.has_steps("loss"));
  CHECK(tail.curve("step").empty());
  CHECK(tail.curve("time").empty());
  CHECK(tail.curve("text").empty());

  // Without steps, points are counted.
  metrics.append({{"late", 3}});
  metrics.append({{"late", 4}});
  CHECK_FALSE(tail.update(wall_now()));
  CHECK_FALSE(tail.has_steps("late"));
  CHECK(tail.has_steps("loss"));
  CHECK(tail.curve("late") == std::vector<ChartPoint>{{1, 3}, {2, 4}});
  writer.state(RunState::succeeded, "", json_object({{"exit_code", 0}}));
  tail.update(wall_now());
  CHECK(tail.record().state == RunState::succeeded);
  // What the program logged beside metrics, and what people said.
  metrics.append({{"params", {{"lr", "0.5"}}}, {"tags", {{"keep", ""}, {"draft", ""}}}});
  tail.update(wall_now());
  tag_run(run, std::vector<std::string>{"mine"}, std::vector<std::string>{"draft"});
  tail.update(wall_now());
  CHECK(tail.record().tags == std::vector<std::string>{"keep", "mine"});
  CHECK(tail.record().logged_params.at("lr") == "0.5");
  // What it says is what a reader of all of it says.
  const RunRecord whole = read_run(run);
  CHECK(whole.metrics == tail.record().metrics);
  CHECK(whole.tags == tail.record().tags);
  CHECK(whole.logged_params == tail.record().logged_params);
  CHECK(whole.points == tail.record().points);
  CHECK(whole.events_end == tail.record().events_end);
}

TEST_CASE("a tail sees that a supervisor is gone, and that it was started again", "[track]") {
  TemporaryDirectory folder;
  const RunFolder run = run_in(folder);
  ProcessSpec spec;
  spec.arguments = {"/bin/sleep", "60"};
  Process process = Process::spawn(spec);
  RunWriter writer(run);
  start(writer, process_here(process.pid()));
  RunTail tail(run, 1000);
  tail.update(wall_now());
  CHECK(tail.record().state == RunState::running);
  process.signal(9);
  process.wait();
  tail.update(wall_now());
  CHECK(tail.record().state == RunState::lost);
  RunWriter second(run);
  start(second, this_process());
  tail.update(wall_now());
  CHECK(tail.record().state == RunState::running);
  CHECK(tail.record().attempts == 2);
}

TEST_CASE("curves of many metrics share the memory of few", "[track]") {
  TemporaryDirectory folder;
  const RunFolder run = run_in(folder);
  JournalWriter metrics(run.metrics());
  for (int step = 0; step < 200; ++step) {
    Json point = json_object({{"step", step}});
    for (int i = 0; i < 1200; ++i)
      point[fmt::format("m{}", i)] = step;
    metrics.append(point);
  }
  RunTail tail(run, 4000);
  tail.update(wall_now());
  CHECK(tail.record().metrics.size() == 1000);
  std::size_t points = 0;
  for (int i = 0; i < 1200; ++i)
    points += tail.curve(fmt::format("m{}", i)).size();
  CHECK(points <= 1000 * 33);
  CHECK(points >= 1000 * 16);
}

TEST_CASE("progress tells what is left by the pace since the first look", "[track]") {
  TemporaryDirectory folder;
  const RunFolder run = run_in(folder);
  RunWriter writer(run);
  start(writer, this_process());
  const auto say = [&](const char* text) { write_file_atomic(run.progress(), text); };
  RunTail tail(run, 1000);
  const WallTime now = wall_now();
  tail.update(now);
  CHECK_FALSE(tail.progress());
  say(R"({"samples_done": 100, "samples_total": 1000, "note": "epoch 1 of 5"})");
  tail.update(now);
  REQUIRE(tail.progress());
  CHECK(tail.progress()->done == 100);
  CHECK(tail.progress()->note == "epoch 1 of 5");
  CHECK_FALSE(tail.progress()->left);
  say(R"({"samples_done": 400, "samples_total": 1000, "note": ""})");
  tail.update(now + 10s);
  REQUIRE(tail.progress()->left);
  CHECK(tail.progress()->left->count() == Approx(20));
  for (const char* bad : {"", "[]", "{", R"({"samples_done": "x"})", "\xff"}) {
    say(bad);
    tail.update(now + 11s);
    CHECK_FALSE(tail.progress());
  }
  say(R"({"samples_done": -5, "samples_total": -1, "note": "x"})");
  tail.update(now + 12s);
  CHECK(tail.progress()->done == 0);
  writer.state(RunState::failed, "");
  tail.update(now + 13s);
  CHECK_FALSE(tail.progress());
}

TEST_CASE("a tail of a run that is not there, or whose spec is damaged, is an error", "[track]") {
  TemporaryDirectory folder;
  CHECK_THROWS_AS(RunTail({folder.path() / "none"}, 10), Error);
  const RunFolder run = run_in(folder);
  write_file_atomic(run.spec(), "{");
  CHECK_THROWS_AS(RunTail(run, 10), Error);
}
