// Sweeps in mlp.yaml: what is read, and every mistake with its place.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/config/project_file.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace mlp;
using namespace mlp::config;

namespace {

constexpr const char* head = "name: a\ntasks: {t: {run: 'true', params: {lr: 0.1, n: 3, opt: sgd, "
                             "m: 0}}}\nsweeps:\n  s:\n    "
                             "task: t\n";

std::string message_of(const std::string& rest) {
  try {
    (void)parse_project_file(std::string(head) + rest);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.hints().empty() ? error.message()
                                 : fmt::format("{}; {}", error.message(), error.hints().front());
  }
  return "no error";
}

std::string with_searcher(const std::string& searcher) {
  return "    searcher: {" + searcher + "}\n    parameters: {lr: [1, 2]}\n";
}

std::string with_parameters(const std::string& parameters, const std::string& name = "random") {
  return "    searcher: {name: " + name + ", metric: loss, mode: min, max_trials: 9}\n" +
         "    parameters: {" + parameters + "}\n";
}

} // namespace

TEST_CASE("a sweep is read with its searcher, ranges, choices and conditions") {
  const ProjectFile file = parse_project_file(std::string(head) + R"(    searcher:
      name: median
      metric: loss
      mode: min
      sampler: tpe
      max_trials: 30
      max_concurrent: 2
      seed: 7
      startup_trials: 3
      warmup_steps: 2
    parameters:
      opt: [sgd, adam]
      lr: {type: log, minval: -4, maxval: -1}
      n: {type: int, minval: 1, maxval: 64, log: true, count: 4}
      m: {type: double, minval: 0, maxval: 0.99, when: {opt: sgd}}
    model: best
)");
  const SweepEntry& sweep = file.sweep("s");
  CHECK(sweep.task == "t");
  CHECK(sweep.model == "best");
  CHECK(sweep.searcher.sampler_name() == "tpe");
  CHECK(sweep.searcher.max_trials == 30);
  CHECK(sweep.searcher.max_concurrent == 2);
  CHECK(sweep.searcher.seed == 7);
  CHECK(sweep.parameters.names() == std::vector<std::string>{"opt", "lr", "n", "m"});
  CHECK(sweep.parameters.find("opt")->type == "categorical");
  CHECK(sweep.parameters.find("lr")->minval == -4);
  CHECK(sweep.parameters.find("n")->log);
  CHECK(sweep.parameters.find("m")->when.find("opt")->values.front().text == "sgd");
  CHECK_THROWS_WITH(file.sweep("x"), "no sweep 'x' in mlp.yaml");
  CHECK(project_file_schema()["properties"].contains("sweeps"));
}

TEST_CASE("mistakes in a searcher are told with their place") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"name: tpee, metric: loss, mode: min",
       "mlp.yaml:6:22: 'name' must be one of grid, random, tpe, asha, median, not 'tpee'; did you "
       "mean 'tpe'?"},
      {"name: grid, mode: min", "mlp.yaml:6:15: key 'metric' is missing here"},
      {"name: grid, metric: loss", "mlp.yaml:6:15: key 'mode' is missing here"},
      {"name: grid, metric: '', mode: min", "mlp.yaml:6:36: 'metric' is empty"},
      {"name: grid, metric: step, mode: min",
       "mlp.yaml:6:36: 'step' says when a metric was reported, and is none"},
      {"name: random, metric: loss, mode: min",
       "mlp.yaml:6:22: the searcher random needs 'max_trials'; only a grid has an end of its own"},
      {"name: random, metric: loss, mode: min, max_trials: 0",
       "mlp.yaml:6:67: 'max_trials' must be a whole number from 1 to 10000, not '0'"},
      {"name: asha, metric: loss, mode: min, max_trials: 3",
       "mlp.yaml:6:22: the searcher asha needs 'max_time'; it is the step that a trial reports at "
       "its end, such as its last epoch"},
      {"name: grid, metric: loss, mode: min, divisor: 3",
       "mlp.yaml:6:62: 'divisor' is of the searcher asha, not of grid"},
      {"name: grid, metric: loss, mode: min, sampler: tpe",
       "mlp.yaml:6:62: 'sampler' is of the searcher asha or median, not of grid"},
      {"name: grid, metric: loss, mode: min, max_trails: 3",
       "mlp.yaml:6:53: unknown key 'max_trails'; did you mean 'max_trials'?"},
  };
  for (const auto& [searcher, message] : cases) {
    INFO(searcher);
    CHECK(message_of(with_searcher(searcher)) == message);
  }
}

TEST_CASE("mistakes in parameters are told with their place") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "mlp.yaml:7:17: there is no parameter to search"},
      {"lrr: [1, 2]", "mlp.yaml:7:18: task 't' has no param 'lrr'; did you mean 'lr'?"},
      {"lr: {minval: 0, maxval: 1}",
       "mlp.yaml:7:22: parameter 'lr' needs 'type'; one of double, int, log, categorical, const"},
      {"lr: {type: double, minval: 0}", "mlp.yaml:7:29: type double needs 'maxval'"},
      {"lr: {type: double, minval: 1, maxval: 1}", "mlp.yaml:7:45: 'minval' is not below 'maxval'"},
      {"lr: {type: double, minval: .nan, maxval: 1}",
       "mlp.yaml:7:45: 'minval' must be a number, not '.nan'"},
      {"lr: {type: double, minval: 0, maxval: 1, log: true}",
       "mlp.yaml:7:45: 'minval' must be above 0 where 'log' is true"},
      {"lr: {type: log, minval: 1, maxval: 1000}",
       "mlp.yaml:7:42: the range is too wide; 'minval' and 'maxval' of type log are exponents: -4 "
       "and -1 are 0.0001 and 0.1"},
      {"lr: {type: double, minval: -1e308, maxval: 1e308}", "mlp.yaml:7:45: the range is too wide"},
      {"n: {type: int, minval: 0.5, maxval: 3}", "mlp.yaml:7:41: 'minval' must be an integer"},
      {"n: {type: int, minval: 0, maxval: 3, vals: [1]}",
       "mlp.yaml:7:61: 'vals' does not go with type int"},
      {"lr: []", "mlp.yaml:7:22: type categorical needs 'vals'"},
      {"lr: [1, 1]", "mlp.yaml:7:22: '1' stands here twice"},
      {"lr: ['1', b]",
       "mlp.yaml:7:23: 'vals' holds text that reads as another type; a trial gets its params as "
       "--param gives them: without quotes"},
      {"lr: [\"${params.n}\"]",
       "mlp.yaml:7:23: 'lr' cannot hold ${...}; ${params.NAME} and ${env.NAME} are replaced "
       "within tasks only"},
      {"lr: {type: double, minval: 0, maxval: 1, when: {opt: sgd}}",
       "mlp.yaml:7:66: no parameter 'opt'"},
      {"lr: {type: double, minval: 0, maxval: 1, when: {opt: sgd}}, opt: [sgd, adam]",
       "mlp.yaml:7:66: 'opt' must stand above 'lr'"},
      {"opt: [sgd, adam], lr: {type: double, minval: 0, maxval: 1, when: {opt: adm}}",
       "mlp.yaml:7:89: 'opt' is never 'adm'; did you mean 'adam'?"},
      {"n: {type: int, minval: 1, maxval: 3}, lr: {val: 1, when: {n: 4}}",
       "mlp.yaml:7:79: 'n' is never '4'"},
      {"m: {type: double, minval: 0, maxval: 1}, lr: {val: 1, when: {m: 0.5}}",
       "mlp.yaml:7:79: 'm' is of type double, which holds too many values to ask for one; a "
       "condition asks for values of type categorical, const or int"},
  };
  for (const auto& [parameters, message] : cases) {
    INFO(parameters);
    CHECK(message_of(with_parameters(parameters)) == message);
  }
  CHECK(message_of(with_parameters("lr: {type: double, minval: 0, maxval: 1}", "grid")) ==
        "mlp.yaml:7:29: a grid needs 'count' for type double; it is how many values the grid takes "
        "from the range, both ends among them");
}

TEST_CASE("a sweep names a task that there is") {
  CHECK_THROWS_WITH(
      parse_project_file("name: a\ntasks: {train: {run: 'true', params: {a: 1}}}\nsweeps:\n  s: "
                         "{task: trian, searcher: {name: grid, metric: m, mode: min}, parameters: "
                         "{a: [1]}}\n"),
      "mlp.yaml:4:13: no task 'trian'");
}
