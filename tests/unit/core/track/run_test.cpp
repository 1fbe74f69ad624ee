// Runs: states, folders, records.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/track/run_record.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

using namespace mlp;
using namespace mlp::track;

namespace {

RunSpec some_spec() {
  RunSpec spec;
  spec.id = new_run_id(wall_now());
  spec.task = "train";
  spec.name = "first try";
  spec.project = "digits";
  spec.created = wall_now();
  spec.user = "ada";
  spec.host = "here";
  spec.mlp_version = "0.1.0";
  spec.command = "python train.py --lr ${params.lr}";
  spec.overrides = {{"lr", "1e-2"}};
  spec.params = {{"lr", "0.01"}, {"layers", "[64,32]"}, {"name", "\"relu\""}};
  spec.datasets = {{"digits", "data/digits.csv", "sha256:ab", 1, 4096}};
  spec.source = SourceState{std::string(40, 'a'), "main", true};
  spec.outs = {"model"};
  spec.environment = {"TOKEN"};
  spec.model = "digits";
  spec.resources = R"({"cpus":4})";
  spec.num_nodes = 2;
  spec.grace_seconds = 2.5;
  return spec;
}

// A process that is certainly not there any more.
ProcessIdentity ended_process() {
  ProcessSpec spec;
  spec.arguments = {"/bin/sleep", "60"};
  Process process = Process::spawn(spec);
  const ProcessIdentity identity = process_here(process.pid());
  process.signal(9);
  process.wait();
  return identity;
}

RunFolder run_in(const TemporaryDirectory& folder) {
  return create_run(folder.path() / "runs", some_spec(), "name: digits\n", "made by a test");
}

} // namespace

TEST_CASE("only the moves of a job's life are allowed", "[track]") {
  using enum RunState;
  CHECK(may_follow(pending, queued));
  CHECK(may_follow(queued, starting));
  CHECK(may_follow(starting, running));
  CHECK(may_follow(running, succeeded));
  CHECK(may_follow(preempted, queued));
  CHECK(may_follow(lost, queued));
  CHECK(may_follow(failed, queued));
  CHECK_FALSE(may_follow(succeeded, queued));
  CHECK_FALSE(may_follow(queued, succeeded));
  CHECK(may_follow(running, starting));
  CHECK_FALSE(may_follow(cancelled, running));
  for (const RunState from : {pending, queued, starting, running})
    for (const RunState to : {failed, cancelled, preempted, lost})
      CHECK(may_follow(from, to));
  for (const RunState state : all_states())
    CHECK(parse_state(state_name(state)) == state);
  CHECK_FALSE(parse_state("done"));
}

TEST_CASE("spec.json gives back what was written", "[track]") {
  TemporaryDirectory folder;
  const RunSpec spec = some_spec();
  const RunFolder run = create_run(folder.path() / "runs", spec, "name: digits\n", "test");
  const RunSpec read = read_run_spec(run);
  CHECK(to_json(read) == to_json(spec));
  CHECK(read.source == spec.source);
  CHECK(read.datasets == spec.datasets);
  CHECK(read.params == spec.params);
  CHECK(parse_json(read_file(run.params()), "params").at("lr") == 0.01);
  CHECK(read_file(run.project_file()) == "name: digits\n");
}

TEST_CASE("a spec of a newer mlp is read, a damaged one is an error that names it", "[track]") {
  TemporaryDirectory folder;
  const RunFolder run = run_in(folder);
  Json json = parse_json(read_file(run.spec()), "spec");
  json["something_new"] = {{"deep", 1}};
  json.erase("task");
  write_file_atomic(run.spec(), dump_json(json));
  CHECK(read_run_spec(run).project == "digits");

  const auto message = [&](std::string_view text) {
    write_file_atomic(run.spec(), text);
    try {
      (void)read_run_spec(run);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      return error.message();
    }
    return std::string("no error");
  };
  const std::string path = run.spec().native();
  CHECK(message("{\"id\": 7}") == path + ": 'id' is not a string");
  CHECK(message("{\"id\": \"x\", \"task\": []}") == path + ": 'task' is not a string");
  CHECK(message("{\"id\": \"x\", \"outs\": [1]}") == path + ": 'outs' is not a list of strings");
  CHECK(message("[]") == path + ": not an object");
  CHECK(message("{\"id\"") == path + ": not valid JSON at byte 6");
}

TEST_CASE("a run appears whole or not at all", "[track]") {
  TemporaryDirectory folder;
  const fs::path runs = folder.path() / "runs";
  const RunSpec spec = some_spec();
  create_run(runs, spec, "", "test");
  CHECK_THROWS_AS(create_run(runs, spec, "", "test"), Error);
  std::size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(runs))
    ++entries;
  CHECK(entries == 1); // the second left nothing behind
  CHECK(remove_run({runs / spec.id}));
  CHECK_FALSE(remove_run({runs / spec.id}));
  CHECK(fs::is_empty(runs));
}

TEST_CASE("a record tells the last attempt", "[track]") {
  TemporaryDirectory folder;
  const RunFolder run = run_in(folder);
  RunWriter writer(run);
  const Json me = {{"supervisor", to_json(this_process())}};
  writer.state(RunState::queued, "");
  writer.state(RunState::starting, "", me);
  writer.state(RunState::running, "");
  writer.event("cancel", {{"reason", "too slow"}});
  CHECK(read_run(run).cancel_reason == "too slow");
  writer.state(RunState::cancelled, "too slow", {{"exit_code", 143}});
  RunRecord record = read_run(run);
  CHECK(record.state == RunState::cancelled);
  CHECK(record.reason == "too slow");
  CHECK(record.exit_code == 143);
  CHECK(record.ended);

  writer.state(RunState::queued, "resumed");
  record = read_run(run);
  CHECK(record.state == RunState::queued);
  CHECK_FALSE(record.exit_code);
  CHECK_FALSE(record.ended);
  CHECK_FALSE(record.cancel_reason);
  writer.state(RunState::starting, "", me);
  writer.state(RunState::running, "");
  writer.event("model", {{"model", "digits@1"}});
  writer.event("from the future", {{"x", 1}});
  writer.state(RunState::succeeded, "", {{"exit_code", 0}});
  record = read_run(run);
  CHECK(record.state == RunState::succeeded);
  CHECK(record.attempts == 2);
  CHECK(record.models == std::vector<std::string>{"digits@1"});
  CHECK(record.states.size() == 9);
  CHECK(record.damaged == 0);
  CHECK_THROWS_AS(writer.state(RunState::running, ""), Error);
}

TEST_CASE("metrics keep the last value of each name", "[track]") {
  TemporaryDirectory folder;
  const RunFolder run = run_in(folder);
  JournalWriter metrics(run.metrics());
  metrics.append({{"step", 1}, {"loss", 0.9}, {"time", "x"}, {"note", "text"}});
  metrics.append({{"step", 2}, {"loss", 0.5}, {"acc", 0.75}});
  metrics.append_lines("broken\n{\"loss\": 0.25}\n{\"lo");
  const RunRecord record = read_run(run);
  CHECK(record.metrics == std::map<std::string, double>{{"acc", 0.75}, {"loss", 0.25}});
  CHECK(record.points == 3);
  CHECK(record.damaged == 1);
  const auto points = read_metric(run, "loss");
  REQUIRE(points.size() == 3);
  CHECK(points[1].step == 2.0);
  CHECK_FALSE(points[2].step);
  CHECK(read_metric(run, "loss", 1).front().value == 0.25);
  for (int i = 0; i < 1500; ++i)
    metrics.append({{"m" + std::to_string(i), i}});
  CHECK(read_run(run).metrics.size() == 1000);
}

TEST_CASE("a run whose supervisor is gone is lost", "[track]") {
  TemporaryDirectory folder;
  const RunFolder run = run_in(folder);
  RunWriter writer(run);
  writer.state(RunState::queued, "");
  const ProcessIdentity gone = ended_process();

  SECTION("killed") {
    writer.state(RunState::starting, "", {{"supervisor", to_json(gone)}});
    const RunRecord record = read_run(run);
    CHECK(record.state == RunState::lost);
    CHECK(record.reason.find("is gone") != std::string::npos);
    CHECK(read_journals(run).state == RunState::starting); // a reader writes nothing
  }
  SECTION("alive") {
    writer.state(RunState::starting, "", {{"supervisor", to_json(this_process())}});
    CHECK(read_run(run).state == RunState::starting);
  }
  SECTION("its id was taken by another process") {
    ProcessIdentity other = this_process();
    other.start += 1;
    writer.state(RunState::starting, "", {{"supervisor", to_json(other)}});
    CHECK(read_run(run).state == RunState::lost);
  }
  SECTION("the machine restarted") {
    ProcessIdentity before = this_process();
    before.boot = "another boot";
    writer.state(RunState::starting, "", {{"supervisor", to_json(before)}});
    CHECK(read_run(run).reason == "the machine restarted");
  }
  SECTION("on another host it cannot be told") {
    ProcessIdentity elsewhere = gone;
    elsewhere.host = "node7";
    writer.state(RunState::starting, "", {{"supervisor", to_json(elsewhere)}});
    CHECK(read_run(run).state == RunState::starting);
  }
  SECTION("it said its last word") {
    writer.state(RunState::starting, "", {{"supervisor", to_json(gone)}});
    writer.state(RunState::failed, "exit code 3", {{"exit_code", 3}});
    CHECK(read_run(run).state == RunState::failed);
  }
  SECTION("never started") {
    writer.state(RunState::lost, ""); // so that the next is allowed
    writer.state(RunState::queued, "", {{"submitter", to_json(gone)}});
    RunRecord record = read_journals(run);
    settle(record, record.since + std::chrono::seconds(1));
    CHECK(record.state == RunState::queued);
    settle(record, record.since + std::chrono::minutes(1));
    CHECK(record.state == RunState::lost);
  }
}
