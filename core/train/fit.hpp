// fit(): trains a network on a data set in memory, with early stopping, checkpoints and resume.
// Same data, settings, machine and threads give the same bits, also over an interruption.
#pragma once

#include "core/train/network.hpp"
#include "core/train/optimizer.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::kernels {
class Collective;
enum class Precision : std::uint8_t;
} // namespace mlp::kernels

namespace mlp::train {

// A view of the caller's data; the caller keeps it alive and unchanged during fit(). One of
// `features` and `pixels` is given: rows x inputs, row-major. The network sees
// (x - mean) * scale; both are empty, or have 1 or `inputs` elements.
struct Dataset {
  std::int64_t rows = 0, inputs = 0;
  std::span<const float> features;
  std::span<const std::uint8_t> pixels;
  std::span<const float> mean, scale;
  ImageShape image; // what a row is, for a network with convolutions

  std::int64_t outputs = 1;             // classes or target columns
  std::span<const std::int32_t> labels; // classifier: [rows], in [0, outputs)
  std::span<const float> targets;       // regressor: [rows, outputs], standardised if you like:
  float target_scale = 1.0F;            // ... rmse and mae are reported times this

  std::span<const std::int32_t> train, validation, test; // row numbers; the last two may be empty
};

enum class Loss { cross_entropy, mse, huber };

struct FitSpec {
  std::vector<ConvLayer> conv; // needs the data's image
  std::vector<HiddenLayer> hidden;
  Loss loss = Loss::cross_entropy;
  float huber_delta = 1.0F;
  std::vector<float> class_weights; // cross-entropy; empty or one a class, > 0
  Optimizer optimizer;
  Schedule schedule;
  std::int64_t epochs = 20, batch = 128;
  std::uint64_t seed = 0;
  int threads = 0;                // <= 0: as many as this process may use
  int gpu = -1;                   // CUDA's number of the GPU to train on; -1: the CPU
  kernels::Precision precision{}; // of products on a GPU; f32
  // Bytes of the GPU's memory that the data set leaves free for what comes after it: the recorded
  // step, and the code that libraries load on need. Data that do not fit so are sent batch by
  // batch.
  std::size_t gpu_reserve = std::size_t{256} << 20;
  // Training with others, or null: the caller's, alive during fit(). See fit().
  kernels::Collective* collective = nullptr;

  // Early stopping: after `patience` epochs without an improvement of the validation metric
  // (accuracy, or r2) by more than min_delta; 0: never. With validation rows the result has the
  // best epoch's weights in either case.
  std::int64_t patience = 0;
  double min_delta = 0.0;

  // Checkpoint file; empty: none; its folder exists. Written (atomically) after an epoch, but not
  // more than once a second, within one every checkpoint_seconds, at the end, and when stopped.
  std::filesystem::path checkpoint;
  double checkpoint_seconds = 30.0;
  bool resume = true; // go on from the checkpoint if the file exists
};

// Metrics of a set of rows. For a regressor: of all target columns together.
struct Metrics {
  double loss = std::numeric_limits<double>::quiet_NaN();
  double accuracy = std::numeric_limits<double>::quiet_NaN(); // classifier; error = 1 - accuracy
  double r2 = std::numeric_limits<double>::quiet_NaN();       // regressor
  double rmse = std::numeric_limits<double>::quiet_NaN();
  double mae = std::numeric_limits<double>::quiet_NaN();
};

struct EpochReport {
  std::int64_t epoch = 0, epochs = 0; // from 1
  double loss = 0.0;                  // mean over the epoch's training batches
  double train_accuracy = std::numeric_limits<double>::quiet_NaN(); // classifier: same batches
  std::optional<Metrics> validation;
  bool best = false;               // so far, by the validation metric
  double samples_per_second = 0.0; // of the training part
  double learning_rate = 0.0;      // of the last step
  double seconds_left = 0.0;       // estimate, if no early stop
};

// Within an epoch, at most every 100 ms.
struct Tick {
  std::int64_t epoch = 0, epochs = 0;
  std::int64_t samples = 0, samples_in_epoch = 0;
  double loss = 0.0; // mean so far in this epoch
  double samples_per_second = 0.0;
  double seconds_left = 0.0;
};

struct FitCallbacks {
  std::function<void(const EpochReport&)> on_epoch; // any may be empty; called in fit()'s thread
  std::function<void(const Tick&)> on_tick;
  std::function<void(std::int64_t epoch)> on_resume; // epochs that the checkpoint has completed
};

enum class FitEnd { completed, early_stopped, interrupted };

struct FitResult {
  Network network; // the best epoch's weights if there are validation rows, else the last
  FitEnd end = FitEnd::completed;
  std::int64_t epochs_run = 0, best_epoch = 0;
  std::optional<Metrics> validation, test; // of `network`; test only if not interrupted
  double seconds = 0.0;                    // of this call
};

// With a collective of several ranks, all of them call fit() with the same settings and data (but
// for threads and gpu). `batch` is that of all together; each takes its contiguous share of every
// batch, and the gradients are summed to that of the whole batch, range by range while the backward
// pass goes on. Batch normalisation takes each share's own statistics; the running ones are
// averaged at the end of an epoch. Rank 0 alone calls back, evaluates, and reads and writes
// checkpoints; only its result has metrics and the best epoch's weights. A stop request to any rank
// stops all. After each epoch the digests of the weights are compared. An error on one rank ends
// all; which was to blame if one was lost, the collective's failure() tells.
//
// Blocks until done or stopped: at a stop request it finishes the step, writes the checkpoint and
// returns `interrupted`. Throws mlp::Error: config for settings or data out of range (the message
// names the field), integrity or conflict for a checkpoint that is damaged or of another training,
// failed for a loss that is no longer finite (with a hint) and for device errors. What a callback
// throws leaves fit() as it is.
[[nodiscard]] FitResult fit(const FitSpec& spec, const Dataset& data,
                            const FitCallbacks& callbacks = {}, std::stop_token stop = {});

// Metrics of `network` on `rows` of data. Blocks. Throws as fit().
[[nodiscard]] Metrics evaluate(kernels::Device& device, const Network& network, const FitSpec& spec,
                               const Dataset& data, std::span<const std::int32_t> rows);

} // namespace mlp::train
