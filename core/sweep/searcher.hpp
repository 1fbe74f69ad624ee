// A sweep's decisions, without a clock, a file or a process: which point comes next, and which
// trial is stopped early. Told the same words in the same order it decides the same, so its state
// is rebuilt from journals by telling them again.
#pragma once

#include "core/config/sweep_spec.hpp"
#include "core/sweep/sampler.hpp"
#include "core/sweep/stopper.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlp::sweep {

// Not thread-safe.
class Searcher {
 public:
  // Throws Error(config) for a grid that is too large. `spec` has been checked
  // (config::check_sweeps).
  Searcher(const config::SearcherSpec& spec, Space space);

  // The point of the next trial, whose number is trials() + 1; nullopt if there is to be none.
  [[nodiscard]] std::optional<Point> suggest() const;
  // A trial with the next number has been decided on. Returns its number, from 1.
  std::uint64_t started(Point point);

  // What a trial reports of the objective while it runs, in the order of steps. A text says why it
  // should be stopped now. A value that is no finite number tells nothing.
  [[nodiscard]] std::optional<std::string> report(std::uint64_t trial, double step, double value);
  // How a trial ended; `value` is its last of the objective, nullopt if it has none. A trial
  // without one has failed, whatever its state.
  void ended(std::uint64_t trial, TrialState state, std::optional<double> value);

  [[nodiscard]] std::uint64_t trials() const noexcept { return trials_.size(); }
  // How many there will be if nothing stops the sweep.
  [[nodiscard]] std::uint64_t planned() const;
  [[nodiscard]] const Space& space() const noexcept { return space_; }
  [[nodiscard]] bool stops_early() const noexcept { return stopper_ != nullptr; }
  // True if `a` is a better value of the objective than `b`.
  [[nodiscard]] bool is_better(double a, double b) const noexcept { return sign_ * a < sign_ * b; }

 private:
  Space space_;
  double sign_; // 1 to minimise, -1 to maximise
  std::uint64_t max_trials_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<Stopper> stopper_; // nullptr: every trial runs to its end
  std::vector<Observation> trials_;
};

} // namespace mlp::sweep
