// Spaces: values and texts, conditions, and what grid and chance draw from them.
#include "core/base/error.hpp"
#include "core/config/project_file.hpp"
#include "core/sweep/sampler.hpp"
#include "core/sweep/tpe.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <set>

using namespace mlp;
using namespace mlp::sweep;

namespace {

Space space_of(const std::string& parameters) {
  const config::ProjectFile file = config::parse_project_file(
      "name: a\ntasks: {t: {run: 'true', params: {lr: 0.1, n: 3, opt: sgd, m: 0, c: 0}}}\n"
      "sweeps: {s: {task: t, searcher: {name: random, metric: loss, mode: min, max_trials: 9},\n"
      "parameters: {" +
      parameters + "}}}\n");
  return Space(file.sweep("s").parameters);
}

std::vector<std::map<std::string, std::string>> all_of(const Space& space, const Sampler& sampler) {
  std::vector<std::map<std::string, std::string>> out;
  for (std::uint64_t number = 1;; ++number) {
    const auto point = sampler.suggest(number, {});
    if (!point) return out;
    out.push_back(space.texts_of(*point));
  }
}

} // namespace

TEST_CASE("type log has exponents for ends, and log: true the ends themselves") {
  const Space space = space_of("lr: {type: log, minval: -4, maxval: -1, base: 10}, m: {type: "
                               "double, minval: 1e-4, maxval: 0.1, log: true}");
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(space.dimensions()[i].low == Approx(1e-4));
    CHECK(space.dimensions()[i].high == Approx(0.1));
    CHECK(space.from_unit(i, 1.0 / 3) == Approx(1e-3));
    CHECK(space.to_unit(i, 1e-2) == Approx(2.0 / 3));
  }
}

TEST_CASE("a value goes to the unit range and back, and to text and back") {
  const Space space = space_of("lr: {type: double, minval: -1, maxval: 3}, n: {type: int, minval: "
                               "1, maxval: 1000, log: true}, opt: [a, 1e-3, true], c: fixed");
  Random random(3, 1);
  for (int i = 0; i < 1000; ++i) {
    const Point point = random_point(space, random);
    CHECK(space.point_of(space.texts_of(point)) == point);
    CHECK(space.from_unit(1, space.to_unit(1, point[1])) == point[1]);
    CHECK(space.texts_of(point).at("c") == "fixed");
  }
  CHECK_THROWS_WITH(space.point_of({{"opt", "b"}}), "'b' is no value of 'opt'");
  CHECK_THROWS_WITH(space.point_of({{"n", "1001"}}), "'1001' is no value of 'n'");
  CHECK_THROWS_WITH(space.point_of({{"lr", "nan"}}), "'nan' is no value of 'lr'");
}

TEST_CASE("chance gives ratios of a log range, and every integer and choice, the same share") {
  const Space space = space_of("lr: {type: log, minval: -4, maxval: 0}, n: {type: int, minval: 1, "
                               "maxval: 4}, opt: [a, b]");
  const auto sampler = make_random(space, 1);
  std::vector<int> decades(4, 0), integers(5, 0), choices(2, 0);
  for (std::uint64_t number = 1; number <= 4000; ++number) {
    const Point point = sampler->suggest(number, {}).value();
    ++decades[std::min<std::size_t>(3, static_cast<std::size_t>(std::log10(point[0]) + 4))];
    ++integers[static_cast<std::size_t>(point[1])];
    ++choices[static_cast<std::size_t>(point[2])];
  }
  for (const int count : decades)
    CHECK(std::abs(count - 1000) < 120);
  for (std::size_t i = 1; i < 5; ++i)
    CHECK(std::abs(integers[i] - 1000) < 120);
  CHECK(std::abs(choices[0] - 2000) < 150);
}

TEST_CASE("a grid has every combination once, in order, and none twice for what is not there") {
  const Space space = space_of("opt: [sgd, adam], m: {type: double, minval: 0, maxval: 0.9, count: "
                               "3, when: {opt: sgd}}, n: {type: int, minval: 1, maxval: 2}");
  const auto points = all_of(space, *make_grid(space));
  REQUIRE(points.size() == 8);
  CHECK(points[0] == std::map<std::string, std::string>{{"opt", "sgd"}, {"m", "0"}, {"n", "1"}});
  CHECK(points[2] == std::map<std::string, std::string>{{"opt", "sgd"}, {"m", "0.45"}, {"n", "1"}});
  CHECK(points[7] == std::map<std::string, std::string>{{"opt", "adam"}, {"n", "2"}});
}

TEST_CASE("a grid over log and integer ranges has both ends and no value twice") {
  const Space logs = space_of("lr: {type: log, minval: -3, maxval: 0, count: 4}");
  const auto points = all_of(logs, *make_grid(logs));
  REQUIRE(points.size() == 4);
  CHECK(points[0].at("lr") == "0.001");
  CHECK(std::stod(points[1].at("lr")) == Approx(0.01));
  CHECK(points[3].at("lr") == "1");
  const Space integers = space_of("n: {type: int, minval: 1, maxval: 8, count: 6, log: true}");
  const auto few = all_of(integers, *make_grid(integers));
  CHECK(few.front().at("n") == "1");
  CHECK(few.back().at("n") == "8");
  CHECK(few.size() == 5); // two of them round to 2
}

TEST_CASE("a grid that nobody could run is refused") {
  const Space wide = space_of("n: {type: int, minval: 1, maxval: 1000000}");
  CHECK_THROWS_WITH(make_grid(wide), "'n' has more than 10,000 values for a grid");
  const Space product = space_of("n: {type: int, minval: 1, maxval: 1000}, lr: [1, 2, 3, 4, 5, 6, "
                                 "7, 8, 9, 10, 11]");
  CHECK_THROWS_WITH(make_grid(product), "the grid has more than 10,000 points");
}

TEST_CASE("what is not there by its condition is in no point that is drawn") {
  const Space space =
      space_of("opt: [sgd, adam, lion], n: {type: int, minval: 1, maxval: 3, when: {opt: [sgd, "
               "lion]}}, m: {type: double, minval: 0, maxval: 1, when: {n: 2}}");
  std::vector<Observation> history;
  const auto chance = make_random(space, 5);
  const auto tpe = make_tpe(space, {.seed = 5, .startup_trials = 4});
  for (std::uint64_t number = 1; number <= 60; ++number)
    for (const Sampler* sampler : {chance.get(), tpe.get()}) {
      const Point point = sampler->suggest(number, history).value();
      const auto texts = space.texts_of(point);
      CHECK(texts.contains("n") == (texts.at("opt") != "adam"));
      CHECK(texts.contains("m") == (texts.contains("n") && texts.at("n") == "2"));
      history.push_back({point, TrialState::finished, point[0], 1});
    }
}

TEST_CASE("the same seed, number and history give the same point; another seed another") {
  const Space space = space_of("lr: {type: log, minval: -4, maxval: 0}, opt: [a, b, c]");
  std::vector<Observation> history;
  for (std::uint64_t number = 1; number <= 30; ++number) {
    const Point point = make_tpe(space, {.seed = 1})->suggest(number, history).value();
    CHECK(make_tpe(space, {.seed = 1})->suggest(number, history).value() == point);
    CHECK(make_tpe(space, {.seed = 2})->suggest(number, history).value() != point);
    CHECK(make_random(space, 1)->suggest(number, {}) == make_random(space, 1)->suggest(number, {}));
    history.push_back({point, TrialState::finished, std::fabs(std::log10(point[0]) + 2), 1});
  }
}

TEST_CASE("TPE finds the good part of a space, and counts what failed and what runs as no good") {
  const Space space = space_of("lr: {type: double, minval: 0, maxval: 1}, opt: [good, bad, worse]");
  const auto sampler = make_tpe(space, {.seed = 4});
  std::vector<Observation> history;
  int near = 0;
  for (std::uint64_t number = 1; number <= 60; ++number) {
    const Point point = sampler->suggest(number, history).value();
    const double loss = std::fabs(point[0] - 0.3) + point[1];
    // Above 0.6 every trial fails.
    const TrialState state = point[0] > 0.6 ? TrialState::failed : TrialState::finished;
    history.push_back({point, state, state == TrialState::failed ? 0.0 : loss, 1});
    if (number > 40 && std::fabs(point[0] - 0.3) < 0.15 && point[1] == 0) ++near;
  }
  CHECK(near >= 12); // by chance 2 of 20
  // Thirty that run at the best place drive the next one away from it.
  for (int i = 0; i < 30; ++i)
    history.push_back({{0.3, 0}, TrialState::running, 0, 0});
  CHECK(std::fabs(sampler->suggest(91, history).value()[0] - 0.3) > 0.005);
}

TEST_CASE("TPE tries no point of a small space twice while there are others") {
  const Space space = space_of("n: {type: int, minval: 1, maxval: 5}, opt: [a, b]");
  const auto sampler = make_tpe(space, {.seed = 9, .startup_trials = 1});
  std::vector<Observation> history;
  std::set<Point> seen;
  int again = 0;
  for (std::uint64_t number = 1; number <= 10; ++number) {
    const Point point = sampler->suggest(number, history).value();
    if (!seen.insert(point).second) ++again;
    history.push_back({point, TrialState::finished, point[0], 1});
  }
  CHECK(again <= 1);
}
