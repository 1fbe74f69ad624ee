// The built-in trainer from files to a model: reads the data, fits preprocessing and network,
// evaluates, and writes one ONNX file that takes the raw columns or pixels.
#pragma once

#include "core/config/trainer_spec.hpp"
#include "core/model/tensor.hpp"
#include "core/train/network.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::kernels {
class Collective;
}

namespace mlp::train {

struct TrainerFolders {
  std::filesystem::path data;        // the dataset's root: a folder, or one CSV file
  std::filesystem::path output;      // model.onnx and metrics.json are written here; is created
  std::filesystem::path checkpoints; // is created; may be kept between runs; empty: no checkpoints
};

// Where a training runs.
struct TrainerPlace {
  int gpu = -1;                              // CUDA's number of the GPU; -1: the CPU
  int threads = 0;                           // 0: as the settings have it
  kernels::Collective* collective = nullptr; // to train with others, or null; see fit()
};

// Within an epoch, at most every 100 ms.
struct TrainerTick {
  std::int64_t epoch = 0, epochs = 0; // from 1
  std::int64_t samples = 0, samples_in_epoch = 0;
  double loss = 0.0;
  double samples_per_second = 0.0;
  double seconds_left = 0.0; // estimate
};

// All are called in run_trainer()'s thread; any may be empty. What they throw ends the training.
struct TrainerEvents {
  // A value for the run's journal. step: the epoch, from 1, of "loss", "accuracy" (of the training
  // batches), "val_loss", "val_accuracy" or "val_r2" "val_rmse" "val_mae", "learning_rate",
  // "samples_per_second"; for what is measured at the end ("test_accuracy", "test_error",
  // "test_loss", "test_r2", ...) the last epoch.
  std::function<void(std::string_view name, double value, std::int64_t step)> on_metric;
  // A sentence for the log: what was read, what was left out, from where it resumed.
  std::function<void(std::string_view text)> on_message;
  std::function<void(const TrainerTick&)> on_tick;
  // After an epoch's metrics: a summary in one line, and the time left.
  std::function<void(std::string_view line, double seconds_left)> on_epoch;
};

struct TrainerResult {
  bool interrupted = false; // stopped on request: a checkpoint is kept, no model was written
  bool early_stopped = false;
  std::int64_t epochs = 0, best_epoch = 0;
  double seconds = 0.0;
  std::map<std::string, double> metrics; // of the model: "test_accuracy", "val_accuracy", ...
  std::filesystem::path model;           // output / "model.onnx"
  model::Signature signature;
  Network network;                  // behind the preprocessing, as fit() left it
  std::vector<std::string> classes; // classifier: names in the order of "probabilities"
  std::int64_t train_rows = 0, validation_rows = 0, test_rows = 0;
  std::int64_t parameters = 0;
};

// Blocks until done or stopped. If `checkpoints` holds the state of the same settings on the same
// data, goes on from there with the same result, bit for bit, as without the interruption; the
// file is removed once the model is written. Memory: the data set as 32-bit floats (pixels: bytes)
// and the network. With a collective every rank calls it; rank 0 alone writes files and has events
// and metrics. Throws mlp::Error: config for settings or data that do not fit (naming the key,
// or the file and line), not_found, failed, integrity. Thread-safe for different folders.
[[nodiscard]] TrainerResult run_trainer(const config::TrainerSpec& spec,
                                        const TrainerFolders& folders,
                                        const TrainerEvents& events = {}, std::stop_token stop = {},
                                        const TrainerPlace& place = {});

} // namespace mlp::train
