// Early stopping, and the searcher as a whole: rungs, medians, and the same decisions when the same
// words are told again.
#include "core/config/project_file.hpp"
#include "core/sweep/searcher.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace mlp;
using namespace mlp::sweep;

namespace {

config::SweepEntry sweep_of(const std::string& searcher) {
  return config::parse_project_file(
             "name: a\ntasks: {t: {run: 'true', params: {x: 0}}}\nsweeps: {s: {task: t, "
             "parameters: {x: {type: double, minval: 0, maxval: 1}}, searcher: {metric: loss, " +
             searcher + "}}}\n")
      .sweep("s");
}

Searcher searcher_of(const std::string& text) {
  const config::SweepEntry entry = sweep_of(text);
  return {entry.searcher, Space(entry.parameters)};
}

} // namespace

TEST_CASE("ASHA: rungs lie at powers of the divisor, and one in so many goes on") {
  const auto asha = make_asha({.max_time = 16, .divisor = 4, .max_rungs = 5}); // rungs 1, 4
  CHECK_FALSE(asha->report(1, 1, 0.5));
  CHECK_FALSE(asha->report(2, 1, 0.4));
  CHECK_FALSE(asha->report(3, 1, 0.3)); // too few to tell
  CHECK(asha->report(4, 1, 0.6) ==
        "stopped by ASHA at rung 1 (step 1): 4 of 4 there, the best 1 go on");
  CHECK_FALSE(asha->report(5, 1, 0.2)); // the best of five
  CHECK(asha->report(6, 1, 0.25));
  // Between rungs nothing is decided; what was reported already counts once.
  CHECK_FALSE(asha->report(5, 2, 9.0));
  CHECK_FALSE(asha->report(5, 1, 9.0));
  CHECK_FALSE(asha->report(5, 4, 0.1));
  // A trial that skips a rung is judged at both.
  CHECK(asha->report(7, 5, 0.9) ==
        "stopped by ASHA at rung 1 (step 5): 7 of 7 there, the best 1 go on");
}

TEST_CASE("ASHA: what has ended is judged no more, and short trials have few rungs") {
  const auto asha = make_asha({.max_time = 3, .divisor = 2, .max_rungs = 5}); // one rung, at 2
  CHECK_FALSE(asha->report(1, 1, 5));
  CHECK_FALSE(asha->report(2, 2, 1));
  CHECK(asha->report(1, 2, 5));
  asha->ended(3, true);
  CHECK_FALSE(asha->report(3, 2, 9));
  const auto none = make_asha({.max_time = 16, .divisor = 4, .max_rungs = 1});
  for (std::uint64_t trial = 1; trial < 20; ++trial)
    CHECK_FALSE(none->report(trial, 15, static_cast<double>(trial)));
}

TEST_CASE("the median rule needs trials that came to their end, as far as this one") {
  const auto rule = make_median({.startup_trials = 3, .warmup_steps = 2});
  for (std::uint64_t trial = 1; trial <= 3; ++trial)
    for (const double step : {1.0, 2.0, 3.0})
      CHECK_FALSE(rule->report(trial, step, static_cast<double>(trial)));
  CHECK_FALSE(rule->report(9, 2, 100)); // none has ended
  for (std::uint64_t trial = 1; trial <= 3; ++trial)
    rule->ended(trial, true);
  CHECK_FALSE(rule->report(4, 1, 100)); // before warmup_steps
  CHECK(rule->report(4, 2, 2.5) == "stopped by the median rule at step 2: its best so far is worse "
                                   "than the median of 3 trials there");
  CHECK_FALSE(rule->report(5, 2, 2.0)); // as good as the median
  CHECK_FALSE(rule->report(6, 4, 100)); // no other came to step 4
  rule->ended(7, false);
}

TEST_CASE("the median rule keeps long curves thin") {
  const auto rule = make_median({.startup_trials = 1});
  for (int step = 1; step <= 50'000; ++step)
    CHECK_FALSE(rule->report(1, step, 1.0));
  rule->ended(1, true);
  CHECK_FALSE(rule->report(2, 49'000, 0.5));
  CHECK(rule->report(3, 49'000, 1.5));
}

TEST_CASE("a searcher gives max_trials points, and a larger value is better with mode max") {
  Searcher searcher = searcher_of("name: random, mode: max, max_trials: 3");
  CHECK(searcher.is_better(2, 1));
  CHECK_FALSE(searcher.stops_early());
  for (std::uint64_t number = 1; number <= 3; ++number)
    CHECK(searcher.started(searcher.suggest().value()) == number);
  CHECK_FALSE(searcher.suggest());
  CHECK(searcher_of("name: random, mode: min, max_trials: 3").is_better(1, 2));
}

TEST_CASE("values that are no number, and trials that there are not, are passed over") {
  Searcher searcher = searcher_of("name: asha, mode: max, max_trials: 9, max_time: 4, divisor: 2");
  searcher.started({0.5});
  searcher.started({0.6});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_FALSE(searcher.report(1, 2, nan));
  CHECK_FALSE(searcher.report(0, 2, 1));
  CHECK_FALSE(searcher.report(3, 2, 1));
  CHECK_FALSE(searcher.report(1, 2, 0.9));
  CHECK(searcher.report(2, 2, 0.1)); // less is worse
  searcher.ended(2, TrialState::finished, nan);
  searcher.ended(7, TrialState::finished, 1.0);
  CHECK_FALSE(searcher.report(2, 4, 0.1)); // it has ended
}

TEST_CASE("told the same again, a searcher decides the same") {
  const std::string text = "name: asha, mode: min, sampler: tpe, max_trials: 60, max_time: 8, "
                           "divisor: 2, seed: 3";
  Searcher first = searcher_of(text);
  struct Word {
    std::uint64_t trial;
    double step, value;
    bool stopped;
  };
  std::vector<std::pair<Point, std::vector<Word>>> told;
  for (int i = 0; i < 60; ++i) {
    const Point point = first.suggest().value();
    const std::uint64_t trial = first.started(point);
    std::vector<Word> words;
    bool stopped = false;
    for (double step = 1; step <= 8 && !stopped; ++step) {
      const double value = std::fabs(point[0] - 0.7) + 1 / step;
      stopped = first.report(trial, step, value).has_value();
      words.push_back({trial, step, value, stopped});
    }
    first.ended(trial, stopped ? TrialState::stopped : TrialState::finished, words.back().value);
    told.emplace_back(point, words);
  }
  Searcher again = searcher_of(text);
  std::size_t stops = 0;
  for (const auto& [point, words] : told) {
    CHECK(again.suggest() == point);
    again.started(point);
    for (const Word& word : words)
      CHECK(again.report(word.trial, word.step, word.value).has_value() == word.stopped);
    if (words.back().stopped) ++stops;
    again.ended(words.back().trial,
                words.back().stopped ? TrialState::stopped : TrialState::finished,
                words.back().value);
  }
  CHECK(stops > 5);
  CHECK(stops < 60);
}
