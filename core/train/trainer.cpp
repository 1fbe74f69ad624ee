// Load, fit, export: each step in the words of the layer below it. Data is read anew when a run
// resumes; that it is the same is checked by the checkpoint's own identity.
#include "core/train/trainer.hpp"

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/train/fit.hpp"
#include "core/train/onnx_export.hpp"
#include "core/train/training_data.hpp"
#include "kernels/collective/collective.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>

namespace mlp::train {
namespace {

using config::TrainerKind;

Activation activation_of(const std::string& name) {
  if (name == "gelu") return Activation::gelu;
  return name == "tanh" ? Activation::tanh : Activation::relu;
}

ConvLayer conv_layer(const config::TrainerConv& conv, const config::TrainerNetwork& network) {
  const auto extent = [](const config::TrainerExtent& e) { return Extent{e.height, e.width}; };
  return {.filters = conv.filters,
          .kernel = extent(conv.kernel_size),
          .stride = extent(conv.stride),
          .same = conv.padding == "same",
          .pooling = conv.pool == "max"       ? Pooling::max
                     : conv.pool == "average" ? Pooling::average
                                              : Pooling::none,
          .pool = extent(conv.pool_size),
          .activation = activation_of(conv.activation.value_or(network.activation)),
          .batch_norm = conv.batch_norm.value_or(network.batch_norm),
          .dropout = static_cast<float>(conv.dropout.value_or(network.dropout))};
}

kernels::Precision precision_of(const std::string& name) {
  if (name == "bf16") return kernels::Precision::bf16;
  return name == "tf32" ? kernels::Precision::tf32 : kernels::Precision::f32;
}

Loss loss_of(const config::TrainerSpec& spec) {
  if (spec.kind == TrainerKind::classifier) return Loss::cross_entropy;
  return spec.loss == "huber" ? Loss::huber : Loss::mse;
}

// A power of two that leaves small data sets enough steps to learn from.
std::int64_t batch_for(std::size_t rows) {
  std::int64_t batch = 128;
  while (batch > 8 && static_cast<std::size_t>(batch) * 16 > rows)
    batch /= 2;
  return batch;
}

FitSpec fit_spec(const config::TrainerSpec& spec, const TrainingData& data) {
  FitSpec fit;
  for (const config::TrainerConv& conv : spec.network.conv)
    fit.conv.push_back(conv_layer(conv, spec.network));
  for (const std::int64_t width : spec.network.hidden)
    fit.hidden.push_back({width, activation_of(spec.network.activation), spec.network.batch_norm,
                          static_cast<float>(spec.network.dropout)});
  fit.loss = loss_of(spec);
  fit.huber_delta = static_cast<float>(spec.huber_delta);
  fit.class_weights = class_weights(spec, data);
  fit.optimizer.kind = spec.optimizer.name == "sgd" ? OptimizerKind::sgd : OptimizerKind::adamw;
  fit.optimizer.learning_rate = static_cast<float>(spec.optimizer.lr);
  fit.optimizer.weight_decay = static_cast<float>(spec.optimizer.weight_decay);
  fit.optimizer.momentum = static_cast<float>(spec.optimizer.momentum);
  fit.optimizer.nesterov = spec.optimizer.nesterov;
  fit.schedule.kind =
      spec.schedule.decay == "constant" ? ScheduleKind::constant : ScheduleKind::cosine;
  fit.schedule.warmup =
      static_cast<float>(spec.schedule.warmup_epochs / static_cast<double>(spec.epochs));
  fit.epochs = spec.epochs;
  fit.batch = spec.batch_size > 0 ? spec.batch_size : batch_for(data.train.size());
  fit.seed = spec.seed;
  fit.threads = static_cast<int>(spec.threads);
  fit.patience = spec.early_stopping.patience;
  fit.min_delta = spec.early_stopping.min_delta;
  fit.checkpoint_seconds = spec.checkpoint.every_seconds > 0.0
                               ? spec.checkpoint.every_seconds
                               : std::numeric_limits<double>::infinity();
  return fit;
}

// What a set of rows gave, under the names of the journal: "val_accuracy", "test_r2".
std::map<std::string, double> named(const std::string& prefix, const Metrics& metrics) {
  std::map<std::string, double> values;
  const auto add = [&](const char* name, double value) {
    if (std::isfinite(value)) values[prefix + name] = value;
  };
  add("loss", metrics.loss);
  add("accuracy", metrics.accuracy);
  add("error", 1.0 - metrics.accuracy);
  add("r2", metrics.r2);
  add("rmse", metrics.rmse);
  add("mae", metrics.mae);
  return values;
}

std::string epoch_line(const EpochReport& report) {
  std::string line =
      fmt::format("epoch {}/{} · loss {:.4f}", report.epoch, report.epochs, report.loss);
  if (report.validation) {
    if (std::isfinite(report.validation->accuracy))
      line += fmt::format(" · val_accuracy {:.4f}", report.validation->accuracy);
    if (std::isfinite(report.validation->r2))
      line += fmt::format(" · val_r2 {:.4f}", report.validation->r2);
  } else if (std::isfinite(report.train_accuracy)) {
    line += fmt::format(" · accuracy {:.4f}", report.train_accuracy);
  }
  return line + fmt::format(" · {} samples/s", format_count(static_cast<std::uint64_t>(
                                                   std::max(0.0, report.samples_per_second))));
}

class Trainer {
 public:
  Trainer(const config::TrainerSpec& spec, const TrainerFolders& folders,
          const TrainerEvents& events, const TrainerPlace& place)
      : spec_(spec), folders_(folders), events_(events), place_(place),
        first_(place.collective == nullptr || place.collective->rank() == 0) {}

  TrainerResult run(std::stop_token stop) {
    if (first_) make_directories(folders_.output);
    std::vector<std::string> messages;
    data_ = load_training_data(spec_, folders_.data, messages);
    for (const std::string& text : messages)
      message(text);
    message(fmt::format("{} rows to train, {} to validate, {} to test; {} inputs",
                        format_count(data_.train.size()), format_count(data_.validation.size()),
                        format_count(data_.test.size()),
                        format_count(static_cast<std::uint64_t>(data_.features.width()))));
    FitSpec fit = fit_spec(spec_, data_);
    if (place_.threads > 0) fit.threads = place_.threads;
    fit.gpu = place_.gpu;
    fit.precision = precision_of(spec_.precision);
    fit.collective = place_.collective;
    if (first_ && !folders_.checkpoints.empty()) {
      make_directories(folders_.checkpoints);
      fit.checkpoint = folders_.checkpoints / "trainer.checkpoint";
    }
    FitResult fitted = fit_or_restart(fit, stop);
    result_.epochs = fitted.epochs_run;
    result_.best_epoch = fitted.best_epoch;
    result_.interrupted = fitted.end == FitEnd::interrupted;
    result_.early_stopped = fitted.end == FitEnd::early_stopped;
    result_.train_rows = static_cast<std::int64_t>(data_.train.size());
    result_.validation_rows = static_cast<std::int64_t>(data_.validation.size());
    result_.test_rows = static_cast<std::int64_t>(data_.test.size());
    result_.parameters = fitted.network.parameter_count();
    if (first_ && !result_.interrupted) {
      report_metrics(fitted);
      write_model(fitted.network);
      if (!fit.checkpoint.empty()) mlp::remove_all(fit.checkpoint);
    }
    result_.network = std::move(fitted.network);
    return std::move(result_);
  }

 private:
  void message(std::string_view text) const {
    if (first_ && events_.on_message) events_.on_message(text);
  }
  void metric(const std::string& name, double value, std::int64_t step) const {
    if (events_.on_metric && std::isfinite(value)) events_.on_metric(name, value, step);
  }

  FitResult fit_or_restart(FitSpec& fit, const std::stop_token& stop) {
    FitCallbacks callbacks;
    callbacks.on_epoch = [this](const EpochReport& report) { on_epoch(report); };
    callbacks.on_resume = [this](std::int64_t epoch) {
      message(fmt::format("resumes from a checkpoint after epoch {}", epoch));
    };
    if (events_.on_tick)
      callbacks.on_tick = [this](const Tick& tick) {
        events_.on_tick({tick.epoch, tick.epochs, tick.samples, tick.samples_in_epoch, tick.loss,
                         tick.samples_per_second, tick.seconds_left});
      };
    try {
      return train::fit(fit, data_.view(), callbacks, stop);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::conflict) throw;
    }
    message("the checkpoint is of other settings or data; starts anew");
    fit.resume = false;
    return train::fit(fit, data_.view(), callbacks, stop);
  }

  void on_epoch(const EpochReport& report) const {
    metric("loss", report.loss, report.epoch);
    metric("accuracy", report.train_accuracy, report.epoch);
    if (report.validation)
      for (const auto& [name, value] : named("val_", *report.validation))
        metric(name, value, report.epoch);
    metric("learning_rate", report.learning_rate, report.epoch);
    metric("samples_per_second", report.samples_per_second, report.epoch);
    if (events_.on_epoch) events_.on_epoch(epoch_line(report), report.seconds_left);
  }

  void report_metrics(const FitResult& fitted) {
    if (fitted.validation) result_.metrics = named("val_", *fitted.validation);
    if (!fitted.test) return;
    for (const auto& [name, value] : named("test_", *fitted.test)) {
      result_.metrics[name] = value;
      metric(name, value, fitted.epochs_run);
    }
  }

  void write_model(const Network& network) {
    ExportedModel exported{.features = data_.features,
                           .network = network,
                           .kind = spec_.kind,
                           .classes = data_.classes,
                           .target_mean = data_.target_mean,
                           .target_scale = data_.target_scale,
                           .metadata = {}};
    exported.metadata["kind"] = config::trainer_kind_name(spec_.kind);
    exported.metadata["metrics"] = dump_json(Json(result_.metrics));
    if (!data_.target.empty()) exported.metadata["target"] = data_.target;
    if (!data_.classes.empty()) exported.metadata["classes"] = dump_json(Json(data_.classes));
    result_.signature = signature_of(exported);
    result_.classes = data_.classes;
    result_.model = folders_.output / "model.onnx";
    write_file_atomic(folders_.output / "metrics.json", dump_json_pretty(Json(result_.metrics)));
    write_file_atomic(result_.model, onnx_bytes(exported));
  }

  const config::TrainerSpec& spec_;
  const TrainerFolders& folders_;
  const TrainerEvents& events_;
  const TrainerPlace& place_;
  const bool first_; // of the ranks
  TrainingData data_;
  TrainerResult result_;
};

} // namespace

TrainerResult run_trainer(const config::TrainerSpec& spec, const TrainerFolders& folders,
                          const TrainerEvents& events, std::stop_token stop,
                          const TrainerPlace& place) {
  config::check(spec);
  const auto start = std::chrono::steady_clock::now();
  TrainerResult result = Trainer(spec, folders, events, place).run(std::move(stop));
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

} // namespace mlp::train
