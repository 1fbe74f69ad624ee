// What two runs do not have in common.
#include "core/base/json.hpp"
#include "core/track/run_diff.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::track;

namespace {

struct Pair {
  TemporaryDirectory folder;
  RunRecord a = make("a"), b = make("b");

  RunRecord make(const char* name) const {
    RunRecord run;
    run.folder.root = folder.path() / name;
    make_directories(run.folder.root);
    run.spec.id = name;
    run.spec.task = "train";
    run.spec.created = wall_now();
    run.spec.params = {{"lr", "0.1"}, {"act", "\"relu\""}};
    run.spec.source = SourceState{std::string(40, 'a'), "main", false};
    run.spec.datasets = {{"digits", "data/digits", "sha256:11", 1, 1}};
    run.metrics = {{"acc", 0.5}};
    run.state = RunState::succeeded;
    return run;
  }
};

} // namespace

TEST_CASE("runs that differ in id and time alone do not differ", "[track]") {
  const Pair runs;
  CHECK(diff_runs(runs.a, runs.b).empty());
}

TEST_CASE("each difference stands in its group, with what is absent left empty", "[track]") {
  Pair runs;
  runs.b.spec.task = "eval";
  runs.b.spec.source->commit = std::string(40, 'b');
  runs.b.spec.source->dirty = true;
  runs.b.spec.datasets = {{"digits", "data/digits", "sha256:22", 1, 1},
                          {"extra", "data/extra", "sha256:33", 1, 1}};
  runs.b.spec.params = {{"lr", "0.2"}, {"act", "\"relu\""}};
  runs.b.metrics = {{"acc", 0.5}, {"loss", 0.25}};
  runs.b.state = RunState::failed;
  runs.b.exit_code = 3;
  write_file_atomic(runs.a.folder.project_file(), "name: p\n");
  const std::vector<RunDifference> found = diff_runs(runs.a, runs.b);
  std::string names;
  for (const RunDifference& difference : found)
    names += difference.group + "." + difference.name + " ";
  CHECK(names == "spec.mlp.yaml spec.task code.commit code.uncommitted changes data.digits "
                 "data.extra params.lr metrics.loss result.exit_code result.state ");
  CHECK(found[6] == RunDifference{"params", "lr", "0.1", "0.2"});
  CHECK(found[7] == RunDifference{"metrics", "loss", std::nullopt, "0.25"});
  CHECK(found[1].b == "\"eval\"");
}

TEST_CASE("params differ if one run lacks them; one run alone shows all of its own", "[track]") {
  Pair runs;
  CHECK(differing_params({runs.a, runs.b}).empty());
  CHECK(differing_params({runs.a}) == std::vector<std::string>{"act", "lr"});
  runs.b.spec.params.erase("act");
  CHECK(differing_params({runs.a, runs.b, runs.a}) == std::vector<std::string>{"act"});
}
