// Parzen mixtures in the unit cube, and the choice among candidates.
#include "core/sweep/tpe.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace mlp::sweep {

namespace {

constexpr double absent = std::numeric_limits<double>::quiet_NaN();

double normal_cdf(double z) {
  return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

bool is_choice(const Space& space, std::size_t dimension) {
  return space.dimensions()[dimension].kind == DimensionKind::choice;
}

double choices_of(const Space& space, std::size_t dimension) {
  return static_cast<double>(space.dimensions()[dimension].choices.size());
}

// A point with its ranges in [0, 1] and its choices as they are.
Point in_cube(const Space& space, const Point& point) {
  Point out = point;
  for (std::size_t i = 0; i < out.size(); ++i)
    if (!std::isnan(out[i]) && !is_choice(space, i)) out[i] = space.to_unit(i, out[i]);
  return out;
}

// A kernel a point, and one that is the prior: even over every range and choice.
class Mixture {
 public:
  Mixture(const Space& space, std::vector<Point> centres, double width)
      : space_(space), centres_(std::move(centres)), widths_(space.size(), 0.0) {
    const auto n = static_cast<double>(std::max<std::size_t>(centres_.size(), 1));
    double dimensions = 0;
    for (const Dimension& dimension : space.dimensions())
      if (dimension.kind != DimensionKind::choice || dimension.choices.size() > 1) ++dimensions;
    for (std::size_t i = 0; i < space.size(); ++i) {
      const Dimension& dimension = space.dimensions()[i];
      if (dimension.kind == DimensionKind::choice) continue;
      widths_[i] = width * std::pow(n, -1.0 / (dimensions + 4.0));
      // Narrower than its neighbours are apart, an integer's kernel would be a single value.
      if (dimension.kind == DimensionKind::integer)
        widths_[i] = std::max(widths_[i], 0.5 / (dimension.high - dimension.low + 1.0));
    }
    // The share of each normal curve that lies within the range.
    for (const Point& centre : centres_) {
      std::vector<double>& scale = scales_.emplace_back(space.size(), 0.0);
      for (std::size_t i = 0; i < space.size(); ++i)
        if (!std::isnan(centre[i]) && !is_choice(space, i)) {
          const double inside =
              normal_cdf((1.0 - centre[i]) / widths_[i]) - normal_cdf(-centre[i] / widths_[i]);
          scale[i] = -std::log(inside * widths_[i] * std::sqrt(2.0 * std::numbers::pi));
        }
    }
  }

  [[nodiscard]] double log_density(const Point& at) const {
    std::vector<double> logs(centres_.size() + 1);
    logs.back() = log_prior(at);
    for (std::size_t k = 0; k < centres_.size(); ++k)
      logs[k] = log_kernel(k, at);
    const double most = *std::max_element(logs.begin(), logs.end());
    double sum = 0;
    for (const double value : logs)
      sum += std::exp(value - most);
    return most + std::log(sum / static_cast<double>(logs.size()));
  }

  // A point drawn from it, with values as the space has them.
  [[nodiscard]] Point draw(Random& random) const {
    const std::size_t kernel = random.below(centres_.size() + 1);
    Point point(space_.size(), absent);
    for (std::size_t i = 0; i < space_.size(); ++i) {
      if (!space_.is_active(i, point)) continue;
      const double centre = kernel < centres_.size() ? centres_[kernel][i] : absent;
      point[i] = is_choice(space_, i) ? draw_choice(i, centre, random)
                                      : space_.from_unit(i, draw_unit(i, centre, random));
    }
    return point;
  }

 private:
  // The chance that a kernel gives to its own choice, and to each other one: they come together as
  // the number of choices grows, and apart as that of kernels does.
  [[nodiscard]] double own_share(std::size_t dimension) const {
    const auto n = static_cast<double>(centres_.size() + 1);
    return (n + 1.0) / (n + choices_of(space_, dimension));
  }
  [[nodiscard]] double other_share(std::size_t dimension) const {
    return 1.0 / (static_cast<double>(centres_.size() + 1) + choices_of(space_, dimension));
  }

  double draw_choice(std::size_t dimension, double centre, Random& random) const {
    const auto count = space_.dimensions()[dimension].choices.size();
    if (std::isnan(centre) || count == 1) return static_cast<double>(random.below(count));
    if (random.uniform() < own_share(dimension)) return centre;
    const auto other = static_cast<double>(random.below(count - 1));
    return other < centre ? other : other + 1.0;
  }

  double draw_unit(std::size_t dimension, double centre, Random& random) const {
    if (std::isnan(centre)) return random.uniform();
    // At least two fifths of the curve lie within, but for ranges of very few integers.
    for (int i = 0; i < 100; ++i)
      if (const double unit = centre + widths_[dimension] * random.normal();
          unit >= 0.0 && unit <= 1.0)
        return unit;
    return centre;
  }

  [[nodiscard]] double log_prior(const Point& at) const {
    double sum = 0;
    for (std::size_t i = 0; i < at.size(); ++i)
      if (!std::isnan(at[i]) && is_choice(space_, i)) sum -= std::log(choices_of(space_, i));
    return sum; // of ranges: 1
  }

  [[nodiscard]] double log_kernel(std::size_t kernel, const Point& at) const {
    double sum = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      if (std::isnan(at[i])) continue;
      const double centre = centres_[kernel][i];
      if (is_choice(space_, i)) {
        sum += std::log(std::isnan(centre) ? 1.0 / choices_of(space_, i)
                        : centre == at[i]  ? own_share(i)
                                           : other_share(i));
      } else if (!std::isnan(centre)) {
        const double z = (at[i] - centre) / widths_[i];
        sum += scales_[kernel][i] - 0.5 * z * z;
      }
    }
    return sum;
  }

  const Space& space_;
  std::vector<Point> centres_;
  std::vector<double> widths_;              // by dimension
  std::vector<std::vector<double>> scales_; // logarithms, by kernel and dimension
};

// The best first: those that came to their end, then those that were stopped, the later the better.
bool is_better(const Observation& a, const Observation& b) {
  if (a.state != b.state) return a.state == TrialState::finished;
  if (a.state == TrialState::stopped && a.step != b.step) return a.step > b.step;
  return a.loss < b.loss;
}

bool same_point(const Point& a, const Point& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

class Tpe final : public Sampler {
 public:
  Tpe(const Space& space, const TpeOptions& options) : space_(space), options_(options) {}

  [[nodiscard]] std::optional<Point> suggest(std::uint64_t number,
                                             std::span<const Observation> history) const override {
    Random random(options_.seed, number);
    std::vector<const Observation*> ranked;
    std::vector<Point> rest;
    for (const Observation& trial : history)
      if (trial.state == TrialState::finished || trial.state == TrialState::stopped)
        ranked.push_back(&trial);
      else
        rest.push_back(in_cube(space_, trial.point));
    if (ranked.size() < std::max<std::size_t>(options_.startup_trials, 1))
      return random_point(space_, random);
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const Observation* a, const Observation* b) { return is_better(*a, *b); });
    const auto share = static_cast<std::size_t>(
        std::ceil(options_.good_share * static_cast<double>(ranked.size())));
    const std::size_t good_count = std::clamp<std::size_t>(share, 1, options_.most_good);
    std::vector<Point> good;
    for (std::size_t i = 0; i < ranked.size(); ++i)
      (i < good_count ? good : rest).push_back(in_cube(space_, ranked[i]->point));
    return choose(Mixture(space_, std::move(good), options_.width),
                  Mixture(space_, std::move(rest), options_.width), history, random);
  }

 private:
  // A point that was tried before comes again only if all candidates were.
  [[nodiscard]] Point choose(const Mixture& good, const Mixture& rest,
                             std::span<const Observation> history, Random& random) const {
    Point best;
    double best_score = 0;
    bool best_is_new = false;
    for (std::size_t i = 0; i < options_.candidates; ++i) {
      Point point = good.draw(random);
      const Point at = in_cube(space_, point);
      const double score = good.log_density(at) - rest.log_density(at);
      const bool is_new = std::none_of(history.begin(), history.end(), [&](const auto& trial) {
        return same_point(trial.point, point);
      });
      if (!best.empty() && (is_new == best_is_new ? score <= best_score : best_is_new)) continue;
      best = std::move(point);
      best_score = score;
      best_is_new = is_new;
    }
    return best;
  }

  Space space_;
  TpeOptions options_;
};

} // namespace

std::unique_ptr<Sampler> make_tpe(const Space& space, const TpeOptions& options) {
  return std::make_unique<Tpe>(space, options);
}

} // namespace mlp::sweep
