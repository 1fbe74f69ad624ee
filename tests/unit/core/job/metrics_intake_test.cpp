// Metrics that a program writes, taken into the journal of its run.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/job/launch_environment.hpp"
#include "core/job/metrics_intake.hpp"
#include "core/track/run_record.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace mlp;
using namespace mlp::job;

namespace {

track::RunFolder make_run(const TemporaryDirectory& folder) {
  track::RunSpec spec;
  spec.id = new_run_id(wall_now());
  spec.created = wall_now();
  spec.datasets = {{"my-data.v2", "data/x.csv", "sha256:00", 1, 1}};
  return track::create_run(folder.path() / ".mlp" / "runs", spec, "", "test");
}

void report(const track::RunFolder& run, std::string_view text) {
  File::open_append(run.reported()).write(text);
}

std::vector<Json> journal(const track::RunFolder& run) {
  std::vector<Json> out;
  track::read_journal(run.metrics(), 0, [&](const Json& record) { out.push_back(record); });
  return out;
}

} // namespace

TEST_CASE("a line of metrics has no secret in its names, texts or numbers", "[job]") {
  const std::vector<std::string> values = {"hunter22", "12345678", "a\"b\nc"};
  const secret::MaskedValues secrets(values);
  CHECK(masked_line(R"({"loss": 0.10})", secrets) == R"({"loss": 0.10})");
  CHECK(masked_line(R"({"hunter22":["xhunter22",{"a":12345678}]})", secrets) ==
        R"({"***":["x***",{"a":"***"}]})");
  CHECK(masked_line(R"({"t":"\u0068unter22","u":"a\"b\nc"})", secrets) ==
        R"({"t":"***","u":"***"})");
  const secret::MaskedValues syntax(std::vector<std::string>{"\":1}"});
  CHECK_FALSE(masked_line(R"({"a":1})", syntax).has_value());
}

TEST_CASE("a line of metrics keeps its digits and gains a time", "[job]") {
  CHECK(metric_line(R"( {"loss": 0.10} )", "T") == R"({"time":"T","loss": 0.10})");
  CHECK(metric_line(R"({"loss":1,"time":"mine"})", "T") == R"({"loss":1,"time":"mine"})");
  CHECK(metric_line(R"({"a":NaN,"b":-Infinity,"c":[Infinity],"d":"NaN \" NaN"})", "T") ==
        R"({"time":"T","a":null,"b":null,"c":[null],"d":"NaN \" NaN"})");
  for (const char* wrong : {"", "{}", "[1]", "1", "loss=1", "{\"a\":}", "{\"a\":1", "{'a':1}"})
    CHECK_FALSE(metric_line(wrong, "T"));
  CHECK_FALSE(
      metric_line(fmt::format("{{\"a\":\"{}\"}}", std::string(track::max_line_bytes, 'x')), "T"));
}

TEST_CASE("metrics are taken in as they come, whole lines only", "[job]") {
  TemporaryDirectory folder;
  const track::RunFolder run = make_run(folder);
  MetricsIntake intake(run);
  CHECK_FALSE(intake.take());
  report(run, "{\"loss\":1}\n{\"lo");
  CHECK(intake.take());
  CHECK(journal(run).size() == 1);
  CHECK_FALSE(intake.take());
  report(run, "ss\":2}\nnot json\n\n{\"loss\":3}");
  CHECK(intake.take());
  CHECK(journal(run).size() == 2);
  CHECK(intake.refused() == 1);
  CHECK(intake.first_refused() == "not json");
  CHECK(intake.take(true)); // the program has ended: its last line counts
  REQUIRE(journal(run).size() == 3);
  CHECK(journal(run)[2]["loss"] == 3);
}

TEST_CASE("a second attempt goes on where the first ended", "[job]") {
  TemporaryDirectory folder;
  const track::RunFolder run = make_run(folder);
  report(run, "{\"n\":1}\n");
  MetricsIntake(run).take();
  report(run, "{\"n\":2}\n");
  MetricsIntake(run).take();
  CHECK(journal(run).size() == 2);
}

TEST_CASE("a program that starts its file anew loses nothing", "[job]") {
  TemporaryDirectory folder;
  const track::RunFolder run = make_run(folder);
  MetricsIntake intake(run);
  report(run, "{\"n\":1}\n{\"n\":2}\n");
  intake.take();
  write_file_atomic(run.reported(), "{\"n\":3}\n");
  intake.take();
  const auto records = journal(run);
  REQUIRE(records.size() == 3);
  CHECK(records[2]["n"] == 3);
}

TEST_CASE("many metrics at once", "[job]") {
  TemporaryDirectory folder;
  const track::RunFolder run = make_run(folder);
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    text += fmt::format("{{\"step\":{},\"loss\":{}}}\n", i, 1.0 / (i + 1));
  report(run, text);
  MetricsIntake intake(run);
  intake.take();
  CHECK(track::read_run(run).points == 20'000);
}

TEST_CASE("a backlog is taken in by parts while the program runs, and whole at its end", "[job]") {
  TemporaryDirectory folder;
  const track::RunFolder run = make_run(folder);
  const std::string padding(1000, 'x');
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    text += fmt::format("{{\"n\":{},\"text\":\"{}\"}}\n", i, padding);
  text += std::string(10u << 20, 'y') + "\n"; // a line that is too long holds up nobody
  text += "{\"n\":20000}";
  report(run, text);
  MetricsIntake intake(run);
  CHECK(intake.take());
  const std::uint64_t first = track::read_run(run).points;
  CHECK(first > 1'000);
  CHECK(first < 10'000);
  for (int i = 0; i < 5; ++i)
    intake.take();
  CHECK(track::read_run(run).points == 20'000);
  CHECK(intake.take(true));
  CHECK(track::read_run(run).points == 20'001);
  CHECK(intake.refused() == 1);
}

TEST_CASE("the launch environment names all that frameworks look for", "[job]") {
  TemporaryDirectory folder;
  const track::RunFolder run = make_run(folder);
  const track::RunSpec spec = track::read_run_spec(run);
  Placement placement{
      .hosts = {"n1", "n2"}, .processes_per_node = 4, .node = 1, .local = 2, .port = 29500};
  const auto env = launch_environment(run, spec, "/p", placement);
  CHECK(env.at("RANK") == "6");
  CHECK(env.at("WORLD_SIZE") == "8");
  CHECK(env.at("LOCAL_RANK") == "2");
  CHECK(env.at("LOCAL_WORLD_SIZE") == "4");
  CHECK(env.at("GROUP_RANK") == "1");
  CHECK(env.at("MASTER_ADDR") == "n1");
  CHECK(env.at("MASTER_PORT") == "29500");
  CHECK(env.at("PET_NNODES") == "2");
  CHECK(env.at("PET_NPROC_PER_NODE") == "4");
  CHECK(env.at("PET_NODE_RANK") == "1");
  CHECK(env.at("JAX_COORDINATOR_ADDRESS") == "n1:29500");
  CHECK(env.at("JAX_NUM_PROCESSES") == "8");
  CHECK(env.at("JAX_PROCESS_ID") == "6");
  const Json tf = parse_json(env.at("TF_CONFIG"), "TF_CONFIG");
  CHECK(tf["cluster"]["worker"].size() == 8);
  CHECK(tf["cluster"]["worker"][6] == "n2:29502");
  CHECK(tf["task"]["index"] == 6);
  CHECK(env.at("MLP_RUN_ID") == spec.id);
  CHECK(env.at("MLP_PROJECT") == "/p");
  CHECK(env.at("MLP_DATA_MY_DATA_V2") == "/p/data/x.csv");
  CHECK(env.at("MLP_OUT_DIR") == run.outs().native());
  CHECK(env.at("MLP_CHECKPOINT_DIR") == run.checkpoints().native());
  CHECK(env.at("MLP_METRICS") == run.reported().native());
  CHECK(fs::exists(env.at("MLP_PARAMS")));
}
