// What stops trials before their end: ASHA or the median rule, by the objective that trials report
// as they run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace mlp::sweep {

// Of each trial, by its number: report() as it comes, in the order of steps; then ended(). What is
// reported again, at or before a step that was, changes nothing. Not thread-safe.
class Stopper {
 public:
  virtual ~Stopper() = default;
  // The loss (less is better) of a trial at a step. A text says why the trial should be stopped.
  [[nodiscard]] virtual std::optional<std::string> report(std::uint64_t trial, double step,
                                                          double loss) = 0;
  // The trial will report no more; `completed`: it came to its own end.
  virtual void ended(std::uint64_t trial, bool completed) = 0;
};

// Asynchronous successive halving: at each rung (a step) a trial goes on only if its loss is among
// the best 1/divisor of those that the rung has seen, itself among them. Rungs lie at
// max_time / divisor^k, k = 1, 2, ..., as long as that is at least 1; there are max_rungs - 1 of
// them at most, since the last one is the end. A trial that reports less often than rungs lie is
// judged by its first report at or after each. While a rung has seen fewer than `divisor` trials,
// all go on.
// Source: L. Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020; the
// variant that stops trials instead of pausing them, so that a program needs no checkpoints.
struct AshaOptions {
  double max_time = 0;
  double divisor = 4;
  std::size_t max_rungs = 5;
};
[[nodiscard]] std::unique_ptr<Stopper> make_asha(const AshaOptions& options);

// The median rule: at a step a trial is stopped if its best loss so far is above the median of the
// completed trials' running averages up to that step. Needs `startup_trials` of these that have
// come that far, and decides nothing before `warmup_steps`.
// Source: D. Golovin et al., "Google Vizier", KDD 2017, section 3.2.2. Of a trial with more than
// 2,000 reports every second, fourth, ... running average is kept.
struct MedianOptions {
  std::size_t startup_trials = 5;
  double warmup_steps = 0;
};
[[nodiscard]] std::unique_ptr<Stopper> make_median(const MedianOptions& options);

} // namespace mlp::sweep
