// The loop of epochs and steps. All that a step changes is in a Checkpoint, and the order of rows
// and the dropout are functions of seed, epoch and step, so that a training that goes on from a
// checkpoint computes what an uninterrupted one does, bit for bit.
#include "core/train/fit.hpp"

#include "core/train/checkpoint.hpp"
#include "core/train/evaluate.hpp"
#include "core/train/fit_check.hpp"
#include "core/train/ranks.hpp"
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

// Purposes of the random sequences of one seed; the network's initial weights use 0 to 128.
constexpr std::uint64_t kShufflePurpose = std::uint64_t{1} << 32;
constexpr std::uint64_t kDropoutKey = 0x9E3779B97F4A7C15ULL;

constexpr std::chrono::duration<double> kTickEvery{0.1};
constexpr std::chrono::duration<double> kShortest{1e-4};
constexpr double kSaveEvery = 1.0; // seconds; short epochs share a checkpoint

std::unique_ptr<kernels::Device> device_for(const FitSpec& spec) {
  return spec.gpu >= 0 ? kernels::make_cuda_device(spec.gpu, {.precision = spec.precision})
                       : kernels::make_cpu_device(spec.threads);
}

// A stream that is released after all that uses it.
class OwnStream {
 public:
  explicit OwnStream(kernels::Device& device) : device_(device), stream_(device.make_stream()) {}
  ~OwnStream() { device_.release(stream_); }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  operator kernels::Stream() const noexcept { return stream_; }

 private:
  kernels::Device& device_;
  kernels::Stream stream_;
};

class Fit {
 public:
  Fit(const FitSpec& spec, const Dataset& data, const FitCallbacks& callbacks, std::stop_token stop,
      bool& shared_error)
      : spec_(spec), data_(data), callbacks_(callbacks), stop_(std::move(stop)),
        shared_error_(shared_error), ranks_(spec, data), device_(device_for(spec)),
        stream_(*device_), network_(network_spec(spec, data), spec.seed),
        count_(static_cast<std::int64_t>(data.train.size())), batch_(std::min(spec.batch, count_)),
        steps_per_epoch_((count_ + batch_ - 1) / batch_),
        most_rows_(std::max(batch_, evaluation_batch())),
        engine_(*device_, network_, most_rows_, true, stream_) {
    loss_ = {spec.loss, spec.huber_delta, nullptr};
    if (!spec.class_weights.empty()) {
      class_weights_ = Buffer(*device_, spec.class_weights.size() * sizeof(float));
      device_->copy_in(stream_, class_weights_.data(), spec.class_weights.data(),
                       class_weights_.bytes());
      loss_.class_weights = class_weights_.as<float>();
    }
    for (const std::int64_t rows : {batch_, count_ % batch_})
      if (const Share share = ranks_.share(rows); share.rows > 0) engine_.prepare(share.rows);
    prepare_evaluation();
    if (!device_->reads_host_memory())
      order_buffer_ = Buffer(*device_, data.train.size() * sizeof(std::int32_t));
    resident_.emplace(*device_, data, most_rows_, spec.gpu_reserve, stream_); // the last of all
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
  // Before the first step: a recorded step keeps the addresses of buffers that a plan may enlarge.
  void prepare_evaluation() {
    if (!ranks_.first()) return;
    for (const auto& rows : {data_.validation, data_.test}) {
      const auto count = static_cast<std::int64_t>(rows.size());
      const std::int64_t batch = evaluation_batch();
      if (count >= batch) engine_.prepare(batch);
      if (count % batch != 0) engine_.prepare(count % batch);
    }
    if (!device_->reads_host_memory() && largest_set() > 0)
      evaluation_order_ =
          Buffer(*device_, static_cast<std::size_t>(largest_set()) * sizeof(std::int32_t));
  }
  std::int64_t evaluation_batch() const noexcept {
    return std::clamp<std::int64_t>(largest_set(), 1, rows_at_once(network_.spec()));
  }
  std::int64_t largest_set() const noexcept {
    return static_cast<std::int64_t>(std::max(data_.validation.size(), data_.test.size()));
  }

  // What rank 0 has found; the others are told.
  enum class Found : std::uint8_t { nothing, checkpoint, other, broken };

  void resume() {
    if (spec_.checkpoint.empty() && !ranks_.several()) return;
    std::exception_ptr error;
    Found found = Found::nothing;
    if (ranks_.first()) {
      try {
        if (read()) found = Found::checkpoint;
      } catch (const Error& e) {
        found = e.kind() == ErrorKind::conflict ? Found::other : Found::broken;
        error = std::current_exception();
      }
    }
    ranks_.spread(found);
    if (error) std::rethrow_exception(error);
    if (found == Found::other) throw Error(ErrorKind::conflict, "rank 0 has another checkpoint");
    if (found == Found::broken)
      throw Error(ErrorKind::integrity, "rank 0 cannot read its checkpoint");
    if (found == Found::nothing) return;
    spread_position();
    ranks_.spread(at_.values);
    ranks_.spread(at_.statistics);
    ranks_.spread(at_.optimizer);
    std::ranges::copy(at_.values, network_.values().begin());
    std::ranges::copy(at_.statistics, network_.statistics().begin());
    engine_.load(network_);
    engine_.set_optimizer_state(at_.optimizer);
    set_stats(ranks_.first() ? at_.stats : LossStats{});
    earlier_seconds_ = at_.seconds;
    if (ranks_.first() && callbacks_.on_resume) callbacks_.on_resume(at_.epoch);
  }

  // False if there is no checkpoint.
  bool read() {
    if (spec_.checkpoint.empty()) return false;
    at_.identity = identity_of(spec_, data_);
    if (!spec_.resume) return false;
    auto found = read_checkpoint(spec_.checkpoint, at_.identity);
    if (!found) return false;
    if (found->values.size() != network_.values().size() ||
        found->statistics.size() != network_.statistics().size() ||
        found->optimizer.size() != 2 * network_.values().size() || found->samples < 0 ||
        found->samples >= count_ || found->epoch < 0)
      throw Error(ErrorKind::integrity,
                  "checkpoint '" + spec_.checkpoint.string() + "' does not fit its own settings");
    found->stopping.patience = spec_.patience;
    found->stopping.min_delta = spec_.min_delta;
    at_ = std::move(*found);
    return true;
  }

  // Where rank 0 stands.
  void spread_position() {
    ranks_.spread(at_.epoch);
    ranks_.spread(at_.samples);
    ranks_.spread(at_.step);
    ranks_.spread(at_.stopping);
  }

  // False if it was stopped.
  bool run_epoch() {
    shuffle(at_.epoch);
    row_order_ = resident_->place(order_, order_buffer_);
    const auto start = Clock::now();
    const std::int64_t first_sample = at_.samples;
    last_tick_ = start;
    steps_to_meeting_ = 0;
    if (at_.samples == 0) set_stats({});
    while (at_.samples < count_) {
      if (!go_on(start, first_sample)) return false;
      const std::int64_t rows = std::min(batch_, count_ - at_.samples);
      step(rows);
      at_.samples += rows;
      if (ranks_.several()) continue;
      const auto now = Clock::now();
      if (now - last_tick_ >= kTickEvery) {
        last_tick_ = now;
        tick(read_stats(), start, first_sample);
        if (at_.samples < count_ && seconds_since(last_save_) >= spec_.checkpoint_seconds)
          save(read_stats());
      }
    }
    settle();
    end_epoch(seconds_since(start), first_sample);
    return true;
  }

  // Before a step: false, with a checkpoint, at a stop request. Several ranks decide about that,
  // and tick and save, when they meet: about every kTickEvery, counted in steps by rank 0.
  bool go_on(Clock::time_point start, std::int64_t first_sample) {
    if (!ranks_.several()) {
      if (!stop_.stop_requested()) return true;
      save(read_stats());
      return false;
    }
    if (steps_to_meeting_-- > 0) return true;
    settle();
    const auto now = Clock::now();
    if (const auto passed = now - last_tick_; at_.samples > first_sample)
      steps_between_ = std::clamp<std::int64_t>(
          static_cast<std::int64_t>(
              static_cast<double>(steps_between_) *
              std::clamp(kTickEvery / std::max(std::chrono::duration<double>(passed), kShortest),
                         0.5, 4.0)),
          1, 1'000'000);
    last_tick_ = now;
    const Ranks::Meeting agreed =
        ranks_.meet({.stop = stop_.stop_requested(),
                     .save = at_.samples > first_sample &&
                             seconds_since(last_save_) >= spec_.checkpoint_seconds,
                     .stats = read_stats(),
                     .steps_to_next = steps_between_});
    steps_between_ = agreed.steps_to_next;
    steps_to_meeting_ = steps_between_ - 1;
    if (at_.samples > first_sample) tick(agreed.stats, start, first_sample);
    if (agreed.stop || agreed.save) save(agreed.stats);
    return !agreed.stop;
  }

  void step(std::int64_t rows) {
    ++at_.step;
    const std::int64_t total = spec_.epochs * steps_per_epoch_;
    learning_rate_ =
        spec_.optimizer.learning_rate *
        learning_rate_factor(spec_.schedule, static_cast<std::int64_t>(at_.step), total);
    const Share mine = ranks_.share(rows);
    const std::int64_t first = at_.samples + mine.first;
    const kernels::StepState state{.step = at_.step,
                                   .seed = ranks_.dropout_key(spec_.seed ^ kDropoutKey),
                                   .first_row = first,
                                   .learning_rate = learning_rate_};
    device_->copy_in(stream_, engine_.state(), &state, sizeof state);
    if (ranks_.several()) {
      step_together(rows, mine.rows, first);
    } else if (rows != batch_) {
      gather(rows, first);
      compute(rows);
    } else {
      full_step(first);
    }
  }

  // A full batch of a training without others: recorded the second time, and replayed from then on.
  void full_step(std::int64_t first) {
    const bool apart = resident_->streams();
    if (apart) gather(batch_, first);
    const auto body = [&] {
      if (!apart) gather(batch_, first);
      compute(batch_);
    };
    if (full_steps_++ == 1) graph_ = device_->capture(stream_, body);
    if (graph_)
      graph_->launch(stream_);
    else
      body();
  }

  void gather(std::int64_t rows, std::int64_t first) {
    resident_->gather(engine_, rows, row_order_, first, engine_.state());
  }
  void compute(std::int64_t rows) {
    engine_.backpropagate(rows, loss_);
    engine_.update(spec_.optimizer);
  }

  void step_together(std::int64_t rows, std::int64_t own_rows, std::int64_t first) {
    const float scale = ranks_.gradient_scale(std::span<const std::int32_t>(order_).subspan(
        static_cast<std::size_t>(at_.samples), static_cast<std::size_t>(rows)));
    if (own_rows > 0) gather(own_rows, first);
    engine_.backpropagate(own_rows, loss_, [&](float* gradients, std::int64_t count) {
      ranks_.collective()->start(stream_, gradients, count, scale);
    });
    ranks_.collective()->wait(stream_);
    engine_.update(spec_.optimizer);
  }

  // Waits for the device; with others in a way that does not hang where one of them is gone.
  void settle() {
    if (ranks_.several()) ranks_.collective()->settle(stream_);
    device_->synchronize(stream_);
  }

  void end_epoch(double seconds, std::int64_t first_sample) {
    const LossStats stats = ranks_.meet({.stats = read_stats()}).stats;
    require_finite(stats);
    if (ranks_.several()) agree_on_weights();
    EpochReport report;
    report.epoch = at_.epoch + 1;
    report.epochs = spec_.epochs;
    report.loss = stats.loss / stats.weight;
    if (spec_.loss == Loss::cross_entropy) report.train_accuracy = stats.correct / stats.rows;
    report.samples_per_second = static_cast<double>(count_ - first_sample) / seconds;
    report.learning_rate = static_cast<double>(learning_rate_);
    if (!data_.validation.empty() && ranks_.first()) {
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
    ranks_.spread(at_.stopping);
    ++at_.epoch;
    at_.samples = 0;
    if (seconds_since(last_save_) >= std::min(kSaveEvery, spec_.checkpoint_seconds))
      write(read_stats());
    report.seconds_left = seconds_left();
    if (ranks_.first() && callbacks_.on_epoch) callbacks_.on_epoch(report);
  }

  // The running statistics are averaged; the weights have to be the same already.
  void agree_on_weights() {
    engine_.store(network_);
    ranks_.average(network_.statistics());
    if (!network_.statistics().empty()) engine_.load(network_);
    ranks_.require_same(network_.values(), at_.epoch + 1);
  }

  void tick(const LossStats& stats, Clock::time_point start, std::int64_t first_sample) {
    require_finite(stats);
    if (!ranks_.first() || !callbacks_.on_tick) return;
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
    if (result.end != FitEnd::interrupted) write(read_stats());
    engine_.store(network_);
    if (!at_.best_values.empty()) {
      std::ranges::copy(at_.best_values, network_.values().begin());
      std::ranges::copy(at_.best_statistics, network_.statistics().begin());
      engine_.load(network_);
    }
    result.best_epoch = data_.validation.empty() || at_.stopping.best_epoch == 0
                            ? at_.epoch
                            : at_.stopping.best_epoch;
    result.epochs_run = at_.epoch;
    if (ranks_.first()) measure(result);
    result.network = std::move(network_);
    result.seconds = seconds_since(start_);
  }

  void measure(FitResult& result) {
    if (!data_.validation.empty()) result.validation = metrics(data_.validation);
    if (!data_.test.empty() && result.end != FitEnd::interrupted) result.test = metrics(data_.test);
  }

  Metrics metrics(std::span<const std::int32_t> rows) {
    return evaluate(*device_, engine_, *resident_, loss_, data_, rows, evaluation_batch(),
                    evaluation_order_);
  }

  // Fisher and Yates's shuffle; the order of an epoch does not depend on those before it.
  void shuffle(std::int64_t epoch) {
    order_.assign(data_.train.begin(), data_.train.end());
    kernels::PhiloxSequence random(spec_.seed, kShufflePurpose + static_cast<std::uint64_t>(epoch));
    for (std::size_t i = order_.size(); i > 1; --i)
      std::swap(order_[i - 1], order_[random.below(static_cast<std::uint32_t>(i))]);
  }

  // In the middle of an epoch, where ranks have statistics of their own: all of them call it.
  void save(const LossStats& stats) {
    if (!ranks_.several()) return write(stats);
    engine_.store(network_);
    std::vector<float> mean(network_.statistics().begin(), network_.statistics().end());
    ranks_.average(mean);
    write(stats, &mean);
  }

  // Writes the checkpoint; `statistics` replace the device's if given.
  void write(const LossStats& stats, const std::vector<float>* statistics = nullptr) {
    if (spec_.checkpoint.empty() || !ranks_.first()) return;
    engine_.store(network_);
    if (statistics != nullptr) std::ranges::copy(*statistics, network_.statistics().begin());
    at_.values.assign(network_.values().begin(), network_.values().end());
    at_.statistics.assign(network_.statistics().begin(), network_.statistics().end());
    at_.optimizer = engine_.optimizer_state();
    at_.stats = stats;
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
  void require_finite(const LossStats& stats) {
    if (std::isfinite(stats.loss)) return;
    shared_error_ = true;
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
  bool& shared_error_; // set before an error that all ranks have at the same point
  Ranks ranks_;
  std::unique_ptr<kernels::Device> device_;
  OwnStream stream_;
  Network network_; // on the host; the engine's is the one that is trained
  std::int64_t count_, batch_, steps_per_epoch_, most_rows_;
  Engine engine_;
  Engine::LossSpec loss_;
  Buffer class_weights_, order_buffer_, evaluation_order_;
  std::optional<DeviceData> resident_;
  std::vector<std::int32_t> order_; // of this epoch
  RowOrder row_order_;              // the same
  std::unique_ptr<kernels::Graph> graph_;
  std::int64_t full_steps_ = 0;
  Checkpoint at_;
  float learning_rate_ = 0.0F;
  double earlier_seconds_ = 0.0, started_epoch_ = 0.0;
  Clock::time_point last_tick_ = start_;
  std::int64_t steps_between_ = 1, steps_to_meeting_ = 0; // meetings of several ranks
};

} // namespace

FitResult fit(const FitSpec& spec, const Dataset& data, const FitCallbacks& callbacks,
              std::stop_token stop) {
  check(spec, data);
  return with_device_errors([&] {
    bool shared = false;
    // Outlives the handlers: work that is queued on a GPU may wait for others until abort().
    std::optional<Fit> training;
    try {
      training.emplace(spec, data, callbacks, std::move(stop), shared);
      return training->run();
    } catch (const Error& error) {
      // All ranks refuse a checkpoint and unequal weights together; they may begin anew together.
      shared = shared || error.kind() == ErrorKind::conflict ||
               error.kind() == ErrorKind::integrity || error.kind() == ErrorKind::config;
      if (spec.collective != nullptr && !shared) spec.collective->abort(error.message());
      throw;
    } catch (const std::exception& error) {
      if (spec.collective != nullptr) spec.collective->abort(error.what());
      throw;
    }
  });
}

} // namespace mlp::train
