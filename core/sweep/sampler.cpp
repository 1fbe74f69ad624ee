// Grid and chance.
#include "core/sweep/sampler.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace mlp::sweep {

namespace {

constexpr double absent = std::numeric_limits<double>::quiet_NaN();
constexpr std::array<std::string_view, 4> state_names{"running", "finished", "stopped", "failed"};

// The values that a grid takes from a dimension, in order.
std::vector<double> grid_values(const Space& space, std::size_t index) {
  const Dimension& dimension = space.dimensions()[index];
  std::vector<double> out;
  if (dimension.kind == DimensionKind::choice) {
    for (std::size_t i = 0; i < dimension.choices.size(); ++i)
      out.push_back(static_cast<double>(i));
    return out;
  }
  const bool all_integers = dimension.kind == DimensionKind::integer &&
                            (dimension.count == 0 || dimension.high - dimension.low + 1 <=
                                                         static_cast<double>(dimension.count));
  if (all_integers) {
    if (dimension.high - dimension.low >= static_cast<double>(config::max_sweep_trials))
      throw Error(ErrorKind::config,
                  fmt::format("'{}' has more than {} values for a grid", dimension.name,
                              format_count(config::max_sweep_trials)))
          .with_hint("give it a 'count'");
    for (double value = dimension.low; value <= dimension.high; ++value)
      out.push_back(value);
    return out;
  }
  const auto steps = static_cast<double>(dimension.count - 1);
  for (std::size_t i = 0; i < dimension.count; ++i) {
    // Both ends exactly; of one value the low end.
    const double part = steps == 0 ? 0 : static_cast<double>(i) / steps;
    double value = dimension.log ? dimension.low * std::pow(dimension.high / dimension.low, part)
                                 : dimension.low + part * (dimension.high - dimension.low);
    if (i != 0 && i + 1 == dimension.count) value = dimension.high;
    if (dimension.kind == DimensionKind::integer) value = std::round(value);
    if (out.empty() || value > out.back()) out.push_back(value);
  }
  return out;
}

class Grid final : public Sampler {
 public:
  explicit Grid(const Space& space) {
    std::vector<std::vector<double>> values;
    for (std::size_t i = 0; i < space.size(); ++i)
      values.push_back(grid_values(space, i));
    Point point(space.size(), absent);
    fill(space, values, 0, point);
  }

  [[nodiscard]] std::optional<Point>
  suggest(std::uint64_t number, std::span<const Observation> /*history*/) const override {
    if (number == 0 || number > points_.size()) return std::nullopt;
    return points_[number - 1];
  }
  [[nodiscard]] std::optional<std::uint64_t> count() const override { return points_.size(); }

 private:
  void fill(const Space& space, const std::vector<std::vector<double>>& values, std::size_t index,
            Point& point) {
    if (index == space.size()) {
      if (points_.size() == static_cast<std::size_t>(config::max_sweep_trials))
        throw Error(ErrorKind::config, fmt::format("the grid has more than {} points",
                                                   format_count(config::max_sweep_trials)))
            .with_hint("give ranges a smaller 'count', or take the searcher random");
      points_.push_back(point);
      return;
    }
    if (!space.is_active(index, point)) {
      point[index] = absent;
      return fill(space, values, index + 1, point);
    }
    for (const double value : values[index]) {
      point[index] = value;
      fill(space, values, index + 1, point);
    }
    point[index] = absent;
  }

  std::vector<Point> points_;
};

class RandomSampler final : public Sampler {
 public:
  RandomSampler(const Space& space, std::uint64_t seed) : space_(space), seed_(seed) {}

  [[nodiscard]] std::optional<Point>
  suggest(std::uint64_t number, std::span<const Observation> /*history*/) const override {
    Random random(seed_, number);
    return random_point(space_, random);
  }

 private:
  Space space_;
  std::uint64_t seed_;
};

} // namespace

std::string_view trial_state_name(TrialState state) noexcept {
  return state_names[static_cast<std::size_t>(state)];
}

std::optional<TrialState> parse_trial_state(std::string_view name) noexcept {
  const auto found = std::find(state_names.begin(), state_names.end(), name);
  if (found == state_names.end()) return std::nullopt;
  return static_cast<TrialState>(found - state_names.begin());
}

Point random_point(const Space& space, Random& random) {
  Point point(space.size(), absent);
  for (std::size_t i = 0; i < space.size(); ++i) {
    const Dimension& dimension = space.dimensions()[i];
    if (!space.is_active(i, point)) continue;
    point[i] = dimension.kind == DimensionKind::choice
                   ? static_cast<double>(random.below(dimension.choices.size()))
                   : space.from_unit(i, random.uniform());
  }
  return point;
}

std::unique_ptr<Sampler> make_grid(const Space& space) {
  return std::make_unique<Grid>(space);
}

std::unique_ptr<Sampler> make_random(const Space& space, std::uint64_t seed) {
  return std::make_unique<RandomSampler>(space, seed);
}

} // namespace mlp::sweep
