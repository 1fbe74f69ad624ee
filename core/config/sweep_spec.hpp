// `sweeps.NAME` of mlp.yaml: runs of one task that search a space of its params. Names follow
// Determined's `searcher` and `hyperparameters`; lists of values may be written as in DVC's matrix.
#pragma once

#include "core/config/value.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlp::config {

// One value, or a list of them.
struct ScalarList {
  std::vector<Scalar> values;
};

// `parameters.NAME`: a map, or [a, b, c] for choices, or a value that stays.
struct ParameterSpec {
  std::string type; // double, int, log, categorical, const; never empty once checked
  std::optional<double> minval, maxval; // both inclusive; of `log` they are exponents of `base`
  std::optional<double> base;           // of `log`: 10 by default
  bool log = false;                     // of double and int: equal ratios are equally likely
  std::optional<std::int64_t> count;    // of a range: how many values a grid takes from it
  std::vector<Scalar> vals;             // of categorical
  std::optional<Scalar> val;            // of const
  // The parameter is there only where each of these has one of the values.
  OrderedMap<ScalarList> when;
};

// `searcher`
struct SearcherSpec {
  std::string name;    // grid, random, tpe, asha, median
  std::string metric;  // the objective, as a run reports it
  std::string mode;    // min, max
  std::string sampler; // of asha and median: where their trials come from; empty: random
  std::optional<std::int64_t> max_trials; // absent: all of a grid
  std::int64_t max_concurrent = 1;
  std::uint64_t seed = 0;
  std::optional<std::int64_t> startup_trials; // tpe: random ones first; median: ended ones it needs
  std::optional<std::int64_t> warmup_steps;   // median: no decision before that step
  std::optional<std::int64_t> max_time;       // asha: the step at which a trial is at its end
  std::optional<std::int64_t> divisor;        // asha: one in so many goes on from a rung; 4
  std::optional<std::int64_t> max_rungs;      // asha: 5

  // What draws the parameters: grid, random or tpe.
  [[nodiscard]] std::string sampler_name() const {
    if (name != "asha" && name != "median") return name;
    return sampler.empty() ? "random" : sampler;
  }
};

struct SweepEntry {
  std::string task;
  SearcherSpec searcher;
  OrderedMap<ParameterSpec> parameters;
  std::string model; // name to register the best trial's model under; empty: the task's
};

constexpr std::int64_t max_sweep_trials = 10'000;

struct ProjectFile;

// The rules of all sweeps that go beyond types, and the `type` of parameters that have none. Throws
// Error(config) with a position.
void check_sweeps(ProjectFile& file);

} // namespace mlp::config
