// What draws the points of a sweep: a grid, chance, or TPE (tpe.hpp).
#pragma once

#include "core/sweep/random.hpp"
#include "core/sweep/space.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace mlp::sweep {

// How far a trial has come. A trial that was stopped early was told apart from others by its
// objective, so it says something about its point; one that failed only that it is no good one.
enum class TrialState : std::uint8_t { running, finished, stopped, failed };

[[nodiscard]] std::string_view trial_state_name(TrialState state) noexcept;
[[nodiscard]] std::optional<TrialState> parse_trial_state(std::string_view name) noexcept;

// A trial as samplers see it.
struct Observation {
  Point point;
  TrialState state = TrialState::running;
  double loss = 0; // less is better; of finished and stopped trials
  double step = 0; // up to which a stopped trial came
};

// A pure function of what it was made with and its arguments: the same trial drawn again from the
// same history is the same point. Threads: const, so any number.
class Sampler {
 public:
  virtual ~Sampler() = default;
  // The point of trial `number` (from 1), when `history` is what the trials before have come to.
  // nullopt: there is no further point.
  [[nodiscard]] virtual std::optional<Point>
  suggest(std::uint64_t number, std::span<const Observation> history) const = 0;
  // How many points there are; nullopt: no end.
  [[nodiscard]] virtual std::optional<std::uint64_t> count() const { return std::nullopt; }
};

// The product of all choices, integers and `count` values of each range; the last dimension changes
// first, and a dimension that is not there has one value. Throws Error(config) for more than
// max_sweep_trials points.
[[nodiscard]] std::unique_ptr<Sampler> make_grid(const Space& space);
// Each dimension by itself, evenly.
[[nodiscard]] std::unique_ptr<Sampler> make_random(const Space& space, std::uint64_t seed);

// One point of chance; what make_random() draws.
[[nodiscard]] Point random_point(const Space& space, Random& random);

} // namespace mlp::sweep
