// Follows one trial by its run's journals, reading only what is new: its state, and what it reports
// of the objective.
#pragma once

#include "core/track/run_record.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mlp::sweep {

// Not thread-safe.
class TrialWatch {
 public:
  TrialWatch(track::RunFolder run, std::string metric)
      : run_(std::move(run)), metric_(std::move(metric)) {}

  // Calls `each` with every new value of the objective and its step: the `step` of the line, else
  // its `epoch`, else how many values there were, this one among them. A value that is no number,
  // or no finite one, is passed over. Throws Error if the journal cannot be read.
  void take_metrics(const std::function<void(double step, double value)>& each);

  // The run if it has ended (also if its supervisor is gone), else nullptr. Looks at processes once
  // a second, and at the journal when it has grown. Throws Error as track::read_run().
  [[nodiscard]] const track::RunRecord* ended();

  [[nodiscard]] const track::RunFolder& run() const noexcept { return run_; }
  [[nodiscard]] std::optional<double> value() const noexcept { return value_; } // the last
  [[nodiscard]] std::optional<double> step() const noexcept { return step_; }   // of value()
  // Its state is to be looked at anew: it was started again.
  void forget_state() noexcept { seen_events_ = 0; }

 private:
  track::RunFolder run_;
  std::string metric_;
  std::uint64_t metrics_offset_ = 0, seen_events_ = 0, count_ = 0;
  std::optional<double> value_, step_;
  std::chrono::steady_clock::time_point next_look_{};
  std::optional<track::RunRecord> record_;
};

} // namespace mlp::sweep
