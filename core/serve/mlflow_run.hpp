// A run as MLflow's clients see it. What they log goes to the run's journal of metrics as lines,
// the way that $MLP_METRICS goes; what they ask for is read from there. There is one run and one
// experiment here, see mlflow_service.hpp.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/job/metric_lines.hpp"
#include "core/track/logged.hpp"
#include "core/track/run_folder.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mlp::serve {

// Not thread-safe. Blocks on the file system. Throws Error only where it reads.
class MlflowRun {
 public:
  // `secrets` are masked in all that is written; they must outlive it. nullptr: there are none.
  MlflowRun(track::RunFolder run, track::RunSpec spec, const secret::MaskedValues* secrets);

  [[nodiscard]] const track::RunFolder& folder() const noexcept { return run_; }
  [[nodiscard]] const track::RunSpec& spec() const noexcept { return spec_; }

  // Appended in order, see metric_lines.hpp.
  void log_metrics(std::span<const job::MetricPoint> points);
  void log_params(const std::map<std::string, std::string>& params);
  void set_tags(const std::map<std::string, std::optional<std::string>>& tags); // nullopt: delete

  // The status that the program gave its run ("FINISHED"), which counts here only: the supervisor
  // has the last word about the run.
  void set_status(std::string status, std::optional<std::int64_t> end_time);

  // Run, RunInfo and Metric messages.
  [[nodiscard]] Json run();
  [[nodiscard]] Json info();
  [[nodiscard]] bool has_tag(const std::string& name);

  // The answer to metrics/get-history: at most `limit` points of a metric, from a page's beginning
  // on, and the token of the next page if there is more.
  [[nodiscard]] Json history(const std::string& key, std::uint64_t from, std::size_t limit) const;

  // For what could not be written.
  [[nodiscard]] const job::MetricLines& lines() const noexcept { return lines_; }

 private:
  struct Last {
    double value = 0.0;
    std::string time;
    std::int64_t step = 0;
  };
  void refresh();
  void take(const Json& record);
  template <class Write>
  void write(const char* group, const std::string& name, const Write& value);

  track::RunFolder run_;
  track::RunSpec spec_;
  job::MetricLines lines_;
  std::uint64_t read_to_ = 0;
  track::Logged logged_;
  std::map<std::string, Last> last_; // of each metric; bounded as RunRecord::metrics
  std::string status_ = "RUNNING";
  std::optional<std::int64_t> end_time_;
};

} // namespace mlp::serve
