// What `mlp watch` looks at: the runs it was given, or those that are active; and the GPUs here.
#pragma once

#include "cli/session.hpp"
#include "cli/watch_frame.hpp"
#include "core/track/run_tail.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

// The GPUs of this machine, asked for by a thread of its own, since a driver may take a second.
class GpuWatch {
 public:
  // Starts the thread, where there is a driver.
  explicit GpuWatch(std::chrono::milliseconds interval);
  ~GpuWatch();
  GpuWatch(const GpuWatch&) = delete;
  GpuWatch& operator=(const GpuWatch&) = delete;

  // The newest list; empty before the first answer.
  [[nodiscard]] std::vector<gpu::Gpu> gpus() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// All GPUs at this moment; empty where there is no driver that tells. Blocks for the driver.
[[nodiscard]] std::vector<gpu::Gpu> read_gpus();

// Not thread-safe.
class RunsWatch {
 public:
  // Runs by their references; with none, those that are active, as they come, or else the newest.
  // Throws Error: usage for too many, what find_run() throws, not_found if there is no run at all.
  RunsWatch(Session& session, const std::vector<std::string>& references);
  ~RunsWatch();

  // Takes in what changed, at most about `most` bytes of a journal. True if there may be more to
  // read now. Throws Error.
  bool update(std::uint64_t most);

  void select_next(int by); // run
  void select_next_metric(int by);
  void toggle_all() noexcept { all_ = !all_; }
  void toggle_log(); // standard output or standard error; else what was written to last

  // Fills in all but what is about the screen and the GPUs. `log_lines`: how many of the log.
  [[nodiscard]] WatchView view(std::size_t log_lines) const;
  // Newest first.
  [[nodiscard]] std::vector<const track::RunTail*> runs() const;

 private:
  struct Discovery; // of active runs
  enum class Log { newer, out, err };

  void add(const track::RunFolder& folder);
  void discover();
  [[nodiscard]] std::size_t selected_at() const;
  [[nodiscard]] std::string metric_of(const track::RunTail& run) const;
  [[nodiscard]] Log log_of(const track::RunFolder& folder) const;

  Session& session_;
  std::vector<std::unique_ptr<track::RunTail>> runs_; // newest first
  std::string selected_, metric_;                     // as chosen by the user; empty: not yet
  std::unique_ptr<Discovery> discovery_;              // nullptr: the runs were named
  WallTime now_{};                                    // of the last update
  bool all_ = false;
  Log log_ = Log::newer;
};

} // namespace mlp
