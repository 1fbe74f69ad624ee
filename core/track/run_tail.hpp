// A run as it grows, for those who look on: its record and curves, read on from where reading
// stopped, in memory that does not grow with the run.
#pragma once

#include "core/track/curve.hpp"
#include "core/track/run_record.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::track {

// How far the built-in trainer is, as it says in progress.json.
struct RunProgress {
  std::uint64_t done = 0, total = 0;                 // samples
  std::string note;                                  // "epoch 3 of 10"; from outside
  std::optional<std::chrono::duration<double>> left; // by the pace since it was first looked at
};

// Not thread-safe.
class RunTail {
 public:
  // Reads spec.json and nothing else. `stretches`: of all curves together, about; see Curve. Throws
  // Error: not_found, config if spec.json is damaged, denied.
  RunTail(const RunFolder& run, std::size_t stretches);

  // Takes in what was appended, at most about `most` bytes of each journal, and looks whether the
  // supervisor of an active run still lives (see settle). True if there may be more to read now.
  // Throws Error(denied, failed).
  bool update(WallTime now, std::uint64_t most = all_bytes);

  [[nodiscard]] const RunRecord& record() const noexcept { return settled_; }
  // Of an active run only.
  [[nodiscard]] const std::optional<RunProgress>& progress() const noexcept { return progress_; }
  // A metric over its steps, or where a point had none, over the number of points. Empty if there
  // is none of that name.
  [[nodiscard]] std::vector<ChartPoint> curve(std::string_view name) const;
  // How many points of it were reported.
  [[nodiscard]] std::size_t curve_size(std::string_view name) const;
  // Every point of it had a step.
  [[nodiscard]] bool has_steps(std::string_view name) const;

 private:
  bool read_more(std::uint64_t most);
  void take_point(const Json& point);
  void read_progress(WallTime now);

  std::size_t stretches_;
  RunRecord read_;    // as the journals say
  RunRecord settled_; // and with the look at its supervisor
  struct Kept {
    Curve curve;
    bool has_steps = true;
  };
  std::map<std::string, Kept, std::less<>> curves_;
  std::optional<RunProgress> progress_;
  std::optional<std::pair<WallTime, std::uint64_t>> first_look_; // at progress: time, samples
};

} // namespace mlp::track
