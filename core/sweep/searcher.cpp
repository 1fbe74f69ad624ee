// A sampler and a stopper under one roof, with the objective turned into a loss.
#include "core/sweep/searcher.hpp"

#include "core/sweep/tpe.hpp"

#include <algorithm>
#include <cmath>

namespace mlp::sweep {

namespace {

std::unique_ptr<Sampler> sampler_of(const config::SearcherSpec& spec, const Space& space) {
  const std::string name = spec.sampler_name();
  if (name == "grid") return make_grid(space);
  if (name == "random") return make_random(space, spec.seed);
  TpeOptions options;
  options.seed = spec.seed;
  // Of the median rule it is the rule's own.
  if (spec.startup_trials && spec.name == "tpe")
    options.startup_trials = static_cast<std::size_t>(*spec.startup_trials);
  return make_tpe(space, options);
}

std::unique_ptr<Stopper> stopper_of(const config::SearcherSpec& spec) {
  if (spec.name == "asha") {
    AshaOptions options;
    options.max_time = static_cast<double>(spec.max_time.value_or(1));
    if (spec.divisor) options.divisor = static_cast<double>(*spec.divisor);
    if (spec.max_rungs) options.max_rungs = static_cast<std::size_t>(*spec.max_rungs);
    return make_asha(options);
  }
  if (spec.name == "median") {
    MedianOptions options;
    if (spec.startup_trials)
      options.startup_trials = static_cast<std::size_t>(*spec.startup_trials);
    options.warmup_steps = static_cast<double>(spec.warmup_steps.value_or(0));
    return make_median(options);
  }
  return nullptr;
}

} // namespace

Searcher::Searcher(const config::SearcherSpec& spec, Space space)
    : space_(std::move(space)), sign_(spec.mode == "max" ? -1.0 : 1.0),
      max_trials_(static_cast<std::uint64_t>(spec.max_trials.value_or(config::max_sweep_trials))),
      sampler_(sampler_of(spec, space_)), stopper_(stopper_of(spec)) {}

std::uint64_t Searcher::planned() const {
  return std::min(max_trials_, sampler_->count().value_or(max_trials_));
}

std::optional<Point> Searcher::suggest() const {
  if (trials_.size() >= max_trials_) return std::nullopt;
  return sampler_->suggest(trials_.size() + 1, trials_);
}

std::uint64_t Searcher::started(Point point) {
  trials_.push_back({.point = std::move(point)});
  return trials_.size();
}

std::optional<std::string> Searcher::report(std::uint64_t trial, double step, double value) {
  if (trial == 0 || trial > trials_.size() || !std::isfinite(step) || !std::isfinite(value))
    return std::nullopt;
  Observation& seen = trials_[trial - 1];
  if (seen.state != TrialState::running) return std::nullopt;
  seen.step = step;
  return stopper_ ? stopper_->report(trial, step, sign_ * value) : std::nullopt;
}

void Searcher::ended(std::uint64_t trial, TrialState state, std::optional<double> value) {
  if (trial == 0 || trial > trials_.size()) return;
  Observation& seen = trials_[trial - 1];
  const bool has_value = value && std::isfinite(*value);
  seen.state = has_value ? state : TrialState::failed;
  seen.loss = has_value ? sign_ * *value : 0.0;
  if (stopper_) stopper_->ended(trial, seen.state == TrialState::finished);
}

} // namespace mlp::sweep
