// ASHA and the median rule.
#include "core/sweep/stopper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

namespace mlp::sweep {

namespace {

class Asha final : public Stopper {
 public:
  explicit Asha(const AshaOptions& options) : divisor_(options.divisor) {
    double step = options.max_time / divisor_;
    for (std::size_t i = 1; i < options.max_rungs && step >= 1.0; ++i, step /= divisor_)
      rungs_.push_back({std::ceil(step - 1e-9), {}});
    std::reverse(rungs_.begin(), rungs_.end());
  }

  std::optional<std::string> report(std::uint64_t trial, double step, double loss) override {
    std::size_t& next = next_rung_[trial];
    std::optional<std::string> why;
    // A report that passes several rungs counts at each.
    while (next < rungs_.size() && step >= rungs_[next].step && !why) {
      why = judge(next, step, loss);
      ++next;
    }
    return why;
  }

  void ended(std::uint64_t trial, bool /*completed*/) override {
    next_rung_[trial] = rungs_.size();
  }

 private:
  struct Rung {
    double step = 0;
    std::vector<double> losses; // sorted
  };

  std::optional<std::string> judge(std::size_t index, double step, double loss) {
    std::vector<double>& losses = rungs_[index].losses;
    const auto place = std::upper_bound(losses.begin(), losses.end(), loss);
    const auto rank = static_cast<std::size_t>(place - losses.begin()) + 1;
    losses.insert(place, loss);
    const auto keep =
        static_cast<std::size_t>(std::floor(static_cast<double>(losses.size()) / divisor_));
    if (keep == 0 || rank <= keep) return std::nullopt;
    return fmt::format("stopped by ASHA at rung {} (step {:g}): {} of {} there, the best {} go on",
                       index + 1, step, rank, losses.size(), keep);
  }

  double divisor_;
  std::vector<Rung> rungs_;                        // by step
  std::map<std::uint64_t, std::size_t> next_rung_; // by trial
};

class Median final : public Stopper {
 public:
  explicit Median(const MedianOptions& options) : options_(options) {}

  std::optional<std::string> report(std::uint64_t trial, double step, double loss) override {
    Curve& curve = curves_[trial];
    if (curve.ended || (curve.count > 0 && step <= curve.last_step)) return std::nullopt;
    curve.take(step, loss);
    if (step < options_.warmup_steps) return std::nullopt;
    std::vector<double> averages;
    for (const auto& [number, other] : curves_)
      if (other.completed && number != trial)
        if (const auto average = other.average_at(step)) averages.push_back(*average);
    if (averages.size() < std::max<std::size_t>(options_.startup_trials, 1)) return std::nullopt;
    const std::size_t others = averages.size();
    const double median = median_of(std::move(averages));
    if (curve.best <= median) return std::nullopt;
    return fmt::format("stopped by the median rule at step {:g}: its best so far is worse than the "
                       "median of {} trials there",
                       step, others);
  }

  void ended(std::uint64_t trial, bool completed) override {
    Curve& curve = curves_[trial];
    if (!curve.ended) curve.completed = completed;
    curve.ended = true;
    if (!curve.completed) curve.points = {};
  }

 private:
  static constexpr std::size_t most_points = 2'000;

  struct Curve {
    struct Average {
      double step, value;
    };
    std::vector<Average> points; // running averages, by step
    std::size_t stride = 1;
    std::size_t count = 0;
    double sum = 0, best = 0, last_step = 0;
    bool ended = false, completed = false;

    void take(double step, double loss) {
      best = count == 0 ? loss : std::min(best, loss);
      last_step = step;
      sum += loss;
      ++count;
      if ((count - 1) % stride != 0) return;
      points.push_back({step, sum / static_cast<double>(count)});
      if (points.size() < most_points) return;
      std::size_t kept = 0;
      for (std::size_t i = 0; i < points.size(); i += 2)
        points[kept++] = points[i];
      points.resize(kept);
      stride *= 2;
    }
    // Of the last point at or before `step`; nullopt if it did not come that far.
    [[nodiscard]] std::optional<double> average_at(double step) const {
      if (step > last_step) return std::nullopt;
      const auto after = std::upper_bound(points.begin(), points.end(), step,
                                          [](double s, const Average& p) { return s < p.step; });
      if (after == points.begin()) return std::nullopt;
      return std::prev(after)->value;
    }
  };

  static double median_of(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 == 1) return *middle;
    return (*middle + *std::max_element(values.begin(), middle)) / 2.0;
  }

  MedianOptions options_;
  std::map<std::uint64_t, Curve> curves_;
};

} // namespace

std::unique_ptr<Stopper> make_asha(const AshaOptions& options) {
  return std::make_unique<Asha>(options);
}

std::unique_ptr<Stopper> make_median(const MedianOptions& options) {
  return std::make_unique<Median>(options);
}

} // namespace mlp::sweep
