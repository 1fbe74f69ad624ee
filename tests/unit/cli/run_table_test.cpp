// Runs side by side, and the three ways to write that down.
#include "cli/run_table.hpp"
#include "core/base/json.hpp"

#include <catch2/catch.hpp>

using namespace mlp;

namespace {

std::vector<track::RunRecord> two_runs() {
  track::RunRecord a, b;
  a.spec.id = "run-a";
  b.spec.id = "run-b";
  a.spec.task = b.spec.task = "train";
  a.state = track::RunState::succeeded;
  a.spec.params = {{"lr", "0.1"}, {"same", "1"}, {"words", "\"a,b \\\"c\\\"\""}};
  b.spec.params = {{"lr", "0.05"}, {"same", "1"}, {"words", "\"x|y\""}};
  a.metrics = {{"acc", 1.0 / 3}, {"lr", 0.25}};
  return {a, b};
}

} // namespace

TEST_CASE("a table of runs has the params that differ and every metric", "[cli]") {
  const RunTable table = run_table(two_runs(), 4);
  CHECK(table.header == std::vector<std::string>{"run", "task", "state", "params.lr", "words",
                                                 "acc", "metrics.lr"});
  CHECK(table.rows[0][5] == "0.3333");
  CHECK(table.rows[1][5].empty());
  CHECK(aligned_text(table) == "RUN    TASK   STATE      params.lr  words       acc  metrics.lr\n"
                               "run-a  train  succeeded        0.1  a,b \"c\"  0.3333        0.25\n"
                               "run-b  train  pending         0.05  x|y           -           -\n");
}

TEST_CASE("Markdown escapes what would break its table", "[cli]") {
  const std::string text = markdown_text(run_table(two_runs(), 4));
  CHECK(text.find("| run | task | state | params.lr | words | acc | metrics.lr |\n"
                  "| --- | --- | --- | ---: | --- | ---: | ---: |\n") == 0);
  CHECK(text.find("| run-b | train | pending | 0.05 | x\\|y | | |\n") != std::string::npos);
}

TEST_CASE("CSV quotes as RFC 4180 has it and keeps numbers whole", "[cli]") {
  CHECK(csv_text(run_table(two_runs(), 0)) ==
        "run,task,state,params.lr,words,acc,metrics.lr\n"
        "run-a,train,succeeded,0.1,\"a,b \"\"c\"\"\",0.3333333333333333,0.25\n"
        "run-b,train,pending,0.05,x|y,,\n");
}
