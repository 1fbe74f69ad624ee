// The loop of epochs and steps. All that a step changes is in a Checkpoint, and the order of rows
// and the dropout are functions of seed, epoch and step, so that a training that goes on from a
// checkpoint computes what an uninterrupted one does, bit for bit.
#include "core/train/fit.hpp"

#include "core/train/checkpoint.hpp"
#include "core/train/evaluate.hpp"
#include "core/train/fit_check.hpp"
#include "kernels/philox.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <string>

namespace mlp::train {

namespace {

using Clock = std::chrono::steady_clock;
using kernels::Buffer;
using kernels::LossStats;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Purposes of the random sequences of one seed; the network's initial weights use 0 to 64.
constexpr std::uint64_t kShufflePurpose = std::uint64_t{1} << 32;
constexpr std::uint64_t kDropoutKey = 0x9E3779B97F4A7C15ULL;

constexpr auto kTickEvery = std::chrono::milliseconds(100);
constexpr double kSaveEvery = 1.0; // seconds; short epochs share a checkpoint
constexpr std::int64_t kEvaluationBatch = 1024;

class Fit {
 public:
  Fit(const FitSpec& spec, const Dataset& data, const FitCallbacks& callbacks, std::stop_token stop)
      : spec_(spec), data_(data), callbacks_(callbacks), stop_(std::move(stop)),
        device_(kernels::make_cpu_device(spec.threads)),
        network_({data.inputs, data.outputs, spec.hidden}, spec.seed),
        count_(static_cast<std::int64_t>(data.train.size())), batch_(std::min(spec.batch, count_)),
        steps_per_epoch_((count_ + batch_ - 1) / batch_),
        engine_(*device_, network_, std::max(batch_, std::min(kEvaluationBatch, largest_set())),
                true),
        resident_(*device_, data) {
    loss_ = {spec.loss, spec.huber_delta, nullptr};
    if (!spec.class_weights.empty()) {
      class_weights_ = Buffer(*device_, spec.class_weights.size() * sizeof(float));
      device_->copy_in(stream_, class_weights_.data(), spec.class_weights.data(),
                       class_weights_.bytes());
      loss_.class_weights = class_weights_.as<float>();
    }
    engine_.prepare(batch_);
    if (count_ % batch_ != 0) engine_.prepare(count_ % batch_);
    at_.stopping.patience = spec.patience;
    at_.stopping.min_delta = spec.min_delta;
  }

  FitResult run() {
    resume();
    FitResult result;
    result.end = FitEnd::completed;
    started_epoch_ = at_.epoch + static_cast<double>(at_.samples) / static_cast<double>(count_);
    while (at_.epoch < spec_.epochs) {
      if (at_.samples == 0 && at_.stopping.should_stop(at_.epoch)) {
        result.end = FitEnd::early_stopped;
        break;
      }
      if (!run_epoch()) {
        result.end = FitEnd::interrupted;
        break;
      }
    }
    finish(result);
    return result;
  }

 private:
  std::int64_t largest_set() const noexcept {
    return static_cast<std::int64_t>(std::max(data_.validation.size(), data_.test.size()));
  }

  void resume() {
    if (spec_.checkpoint.empty()) return;
    at_.identity = identity_of(spec_, data_);
    if (!spec_.resume) return;
    auto found = read_checkpoint(spec_.checkpoint, at_.identity);
    if (!found) return;
    if (found->values.size() != network_.values().size() ||
        found->statistics.size() != network_.statistics().size() ||
        found->optimizer.size() != 2 * network_.values().size() || found->samples < 0 ||
        found->samples >= count_ || found->epoch < 0)
      throw Error(ErrorKind::integrity,
                  "checkpoint '" + spec_.checkpoint.string() + "' does not fit its own settings");
    found->stopping.patience = spec_.patience;
    found->stopping.min_delta = spec_.min_delta;
    at_ = std::move(*found);
    std::ranges::copy(at_.values, network_.values().begin());
    std::ranges::copy(at_.statistics, network_.statistics().begin());
    engine_.load(network_);
    engine_.set_optimizer_state(at_.optimizer);
    set_stats(at_.stats);
    earlier_seconds_ = at_.seconds;
    if (callbacks_.on_resume) callbacks_.on_resume(at_.epoch);
  }

  // False if it was stopped.
  bool run_epoch() {
    shuffle(at_.epoch);
    const std::int32_t* order = resident_.place(order_, order_buffer_);
    const auto start = Clock::now();
    const std::int64_t first_sample = at_.samples;
    auto last_tick = start;
    if (at_.samples == 0) set_stats({});
    while (at_.samples < count_) {
      if (stop_.stop_requested()) {
        save();
        return false;
      }
      const std::int64_t rows = std::min(batch_, count_ - at_.samples);
      step(order, rows);
      at_.samples += rows;
      const auto now = Clock::now();
      if (now - last_tick >= kTickEvery) {
        last_tick = now;
        tick(start, first_sample);
        if (at_.samples < count_ && seconds_since(last_save_) >= spec_.checkpoint_seconds) save();
      }
    }
    device_->synchronize(stream_);
    end_epoch(seconds_since(start), first_sample);
    return true;
  }

  void step(const std::int32_t* order, std::int64_t rows) {
    ++at_.step;
    const std::int64_t total = spec_.epochs * steps_per_epoch_;
    learning_rate_ =
        spec_.optimizer.learning_rate *
        learning_rate_factor(spec_.schedule, static_cast<std::int64_t>(at_.step), total);
    const kernels::StepState state{.step = at_.step,
                                   .seed = spec_.seed ^ kDropoutKey,
                                   .first_row = at_.samples,
                                   .learning_rate = learning_rate_};
    device_->copy_in(stream_, engine_.state(), &state, sizeof state);
    resident_.gather(engine_, rows, order, engine_.state());
    engine_.backpropagate(rows, loss_);
    engine_.update(spec_.optimizer);
  }

  void end_epoch(double seconds, std::int64_t first_sample) {
    const LossStats stats = read_stats();
    require_finite(stats);
    EpochReport report;
    report.epoch = at_.epoch + 1;
    report.epochs = spec_.epochs;
    report.loss = stats.loss / stats.weight;
    if (spec_.loss == Loss::cross_entropy) report.train_accuracy = stats.correct / stats.rows;
    report.samples_per_second = static_cast<double>(count_ - first_sample) / seconds;
    report.learning_rate = static_cast<double>(learning_rate_);
    if (!data_.validation.empty()) {
      report.validation = metrics(data_.validation);
      const double metric =
          spec_.loss == Loss::cross_entropy ? report.validation->accuracy : report.validation->r2;
      report.best = at_.stopping.update(metric, report.epoch);
      if (report.best) {
        engine_.store(network_);
        at_.best_values.assign(network_.values().begin(), network_.values().end());
        at_.best_statistics.assign(network_.statistics().begin(), network_.statistics().end());
      }
    }
    ++at_.epoch;
    at_.samples = 0;
    if (seconds_since(last_save_) >= std::min(kSaveEvery, spec_.checkpoint_seconds)) save();
    report.seconds_left = seconds_left();
    if (callbacks_.on_epoch) callbacks_.on_epoch(report);
  }

  void tick(Clock::time_point start, std::int64_t first_sample) {
    const LossStats stats = read_stats();
    require_finite(stats);
    if (!callbacks_.on_tick) return;
    callbacks_.on_tick({.epoch = at_.epoch + 1,
                        .epochs = spec_.epochs,
                        .samples = at_.samples,
                        .samples_in_epoch = count_,
                        .loss = stats.loss / stats.weight,
                        .samples_per_second =
                            static_cast<double>(at_.samples - first_sample) / seconds_since(start),
                        .seconds_left = seconds_left()});
  }

  void finish(FitResult& result) {
    if (result.end != FitEnd::interrupted) save();
    engine_.store(network_);
    if (!at_.best_values.empty()) {
      std::ranges::copy(at_.best_values, network_.values().begin());
      std::ranges::copy(at_.best_statistics, network_.statistics().begin());
      engine_.load(network_);
    }
    result.best_epoch = at_.best_values.empty() ? at_.epoch : at_.stopping.best_epoch;
    result.epochs_run = at_.epoch;
    if (!data_.validation.empty()) result.validation = metrics(data_.validation);
    if (!data_.test.empty() && result.end != FitEnd::interrupted) result.test = metrics(data_.test);
    result.network = std::move(network_);
    result.seconds = seconds_since(start_);
  }

  Metrics metrics(std::span<const std::int32_t> rows) {
    return evaluate(*device_, engine_, resident_, loss_, data_, rows,
                    std::min(kEvaluationBatch, std::max(largest_set(), std::int64_t{1})));
  }

  // Fisher and Yates's shuffle; the order of an epoch does not depend on those before it.
  void shuffle(std::int64_t epoch) {
    order_.assign(data_.train.begin(), data_.train.end());
    kernels::PhiloxSequence random(spec_.seed, kShufflePurpose + static_cast<std::uint64_t>(epoch));
    for (std::size_t i = order_.size(); i > 1; --i)
      std::swap(order_[i - 1], order_[random.below(static_cast<std::uint32_t>(i))]);
  }

  void save() {
    if (spec_.checkpoint.empty()) return;
    engine_.store(network_);
    at_.values.assign(network_.values().begin(), network_.values().end());
    at_.statistics.assign(network_.statistics().begin(), network_.statistics().end());
    at_.optimizer = engine_.optimizer_state();
    at_.stats = read_stats();
    at_.seconds = earlier_seconds_ + seconds_since(start_);
    write_checkpoint(spec_.checkpoint, at_);
    last_save_ = Clock::now();
  }

  double seconds_left() const {
    const double done = at_.epoch + static_cast<double>(at_.samples) / static_cast<double>(count_);
    const double here = done - started_epoch_;
    if (here <= 0.0) return 0.0;
    return seconds_since(start_) / here * (static_cast<double>(spec_.epochs) - done);
  }

  LossStats read_stats() {
    LossStats stats;
    device_->copy_out(stream_, &stats, engine_.stats(), sizeof stats);
    return stats;
  }
  void set_stats(const LossStats& stats) {
    device_->copy_in(stream_, engine_.stats(), &stats, sizeof stats);
    device_->synchronize(stream_);
  }
  void require_finite(const LossStats& stats) const {
    if (std::isfinite(stats.loss)) return;
    throw Error(ErrorKind::failed,
                "the loss is no longer finite in epoch " + std::to_string(at_.epoch + 1))
        .with_hint("choose a lower learning rate, or look for values in the data that are not "
                   "numbers or not standardised");
  }

  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_save_ = start_;
  const FitSpec& spec_;
  const Dataset& data_;
  const FitCallbacks& callbacks_;
  std::stop_token stop_;
  std::unique_ptr<kernels::Device> device_;
  kernels::Stream stream_;
  Network network_; // on the host; the engine's is the one that is trained
  std::int64_t count_, batch_, steps_per_epoch_;
  Engine engine_;
  ResidentData resident_;
  Engine::LossSpec loss_;
  Buffer class_weights_, order_buffer_;
  std::vector<std::int32_t> order_;
  Checkpoint at_;
  float learning_rate_ = 0.0F;
  double earlier_seconds_ = 0.0, started_epoch_ = 0.0;
};

} // namespace

FitResult fit(const FitSpec& spec, const Dataset& data, const FitCallbacks& callbacks,
              std::stop_token stop) {
  check(spec, data);
  return with_device_errors([&] { return Fit(spec, data, callbacks, std::move(stop)).run(); });
}

} // namespace mlp::train
