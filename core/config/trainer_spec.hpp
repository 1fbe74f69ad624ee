// The built-in trainer's settings: the `trainer:` map of a task in mlp.yaml, as plain data with its
// defaults. A member has its key's name; a nested struct is a nested map. The words are those of
// scikit-learn, Keras, PyTorch and Ludwig.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::config {

enum class TrainerKind { classifier, regressor };
enum class DataFormat { infer, csv, idx }; // infer: by the files' names and first bytes

// `trainer.data.features`: which columns of a CSV file the model takes, and how.
struct TrainerFeatures {
  std::vector<std::string> include;     // empty: all columns but the target
  std::vector<std::string> exclude;     // e.g. an id; not together with include
  std::vector<std::string> categorical; // columns to read as categories though they hold numbers
  std::vector<std::string> numeric;     // columns that must hold numbers; text there is an error
  std::vector<std::string> log;         // numeric columns to take as log(1 + x), x >= 0
  bool operator==(const TrainerFeatures&) const = default;
};

// `trainer.data`. Paths are relative to the dataset's folder. With none of them given, a dataset of
// one CSV file, or of IDX files with MNIST's names, is understood by itself.
struct TrainerData {
  DataFormat format = DataFormat::infer;
  std::string dataset;    // one of the task's `data:`; may be left out if there is only one
  std::string train;      // CSV file, or IDX images
  std::string validation; // absent: cut from train, see TrainerSplit
  std::string test;
  std::string train_labels, validation_labels, test_labels; // IDX only

  std::string target;               // CSV: the column to predict; default: the last one
  std::vector<std::string> columns; // names of the columns of a CSV file without a header
  std::optional<bool> header;       // default: true, or false if `columns` is given
  std::string delimiter = ",";      // one character: , ; | a tab or a space
  std::string comment;              // lines that begin with it are skipped; empty: none
  std::int64_t skip_rows = 0;       // lines to leave out at the beginning of each file
  bool trim = true;                 // drop spaces around unquoted fields
  std::string strip_label_suffix;   // cut from a label's end, e.g. "." in Adult's test file
  std::vector<std::string> blanks = {"", "?", "NA", "N/A", "NaN", "nan", "null"};
  TrainerFeatures features;
  std::vector<std::string> classes; // declared labels; a label outside them is an error. Empty:
                                    // those of the training file
  bool balanced = false;            // `class_weights: balanced`: n / (classes * n_of_class)
  std::map<std::string, double> class_weights; // or `class_weights: {label: weight}`
  bool operator==(const TrainerData&) const = default;
};

// `trainer.split`: shares cut by `seed` from the training file's rows, stratified by class, for
// those of validation and test that have no file of their own.
struct TrainerSplit {
  double validation = 0.1; // of the rows left after test; 0: no validation
  double test = 0.2;
  std::uint64_t seed = 0;
  bool operator==(const TrainerSplit&) const = default;
};

// The extent of a window or a step: one number for both, or [height, width].
struct TrainerExtent {
  static constexpr std::int64_t most = 31; // along each axis
  std::int64_t height = 1, width = 1;
  bool operator==(const TrainerExtent&) const = default;
};

// One of `trainer.network.conv`: convolution, batch normalisation, activation, pooling, dropout.
struct TrainerConv {
  std::int64_t filters = 0; // required in mlp.yaml
  TrainerExtent kernel_size{3, 3};
  TrainerExtent stride{1, 1};
  std::string padding = "same";          // same, valid
  std::string pool = "none";             // none, max, average
  TrainerExtent pool_size{2, 2};         // of the window, which moves by as much
  std::optional<std::string> activation; // these three: default: the network's
  std::optional<double> dropout;
  std::optional<bool> batch_norm;
  bool operator==(const TrainerConv&) const = default;
};

// `trainer.network`: dense layers, each followed by batch normalisation, activation and dropout;
// before them, for images, convolutions.
struct TrainerNetwork {
  std::vector<TrainerConv> conv;
  std::vector<std::int64_t> hidden = {128, 64}; // widths; empty: a linear model
  std::string activation = "relu";              // relu, gelu, tanh
  double dropout = 0.1;                         // [0, 1)
  bool batch_norm = false;
  bool operator==(const TrainerNetwork&) const = default;
};

// `trainer.optimizer`
struct TrainerOptimizer {
  std::string name = "adamw"; // adamw, sgd
  double lr = 0.001;
  double weight_decay = 0.01;
  double momentum = 0.9; // sgd
  bool nesterov = false; // sgd
  bool operator==(const TrainerOptimizer&) const = default;
};

// `trainer.schedule`
struct TrainerSchedule {
  double warmup_epochs = 0.5;   // linear rise of the learning rate; less than `epochs`
  std::string decay = "cosine"; // cosine, constant
  bool operator==(const TrainerSchedule&) const = default;
};

// `trainer.early_stopping`: by the validation metric (accuracy or r2).
struct TrainerEarlyStopping {
  std::int64_t patience = 10; // epochs without improvement; 0: never stop early
  double min_delta = 0.0;     // what counts as an improvement
  bool operator==(const TrainerEarlyStopping&) const = default;
};

// `trainer.checkpoint`
struct TrainerCheckpoint {
  double every_seconds = 30.0; // and after each epoch; 0: only after epochs
  bool operator==(const TrainerCheckpoint&) const = default;
};

// `trainer.devices`: which GPUs train together; one process each. Not given: the first GPU, or the
// CPU where there is none.
struct TrainerDevices {
  enum class Choice { first, all, count, list };
  Choice choice = Choice::first;
  std::int64_t count = 1;        // `devices: 2`; where there is no GPU, processes on the CPU
  std::vector<std::int64_t> ids; // `devices: [0, 2]`: numbers among the GPUs that are visible
  bool operator==(const TrainerDevices&) const = default;
};

// `trainer`
struct TrainerSpec {
  TrainerKind kind = TrainerKind::classifier; // required in mlp.yaml
  TrainerData data;
  TrainerSplit split;
  TrainerNetwork network;
  std::string loss;         // cross_entropy, mse, huber; empty: cross_entropy or mse by kind
  double huber_delta = 1.0; // in standard deviations of the target
  TrainerOptimizer optimizer;
  TrainerSchedule schedule;
  std::int64_t epochs = 40;
  // Rows in a step; 0: 128, or fewer where an epoch would have less than 16 steps (at least 8).
  std::int64_t batch_size = 0;
  TrainerEarlyStopping early_stopping;
  TrainerCheckpoint checkpoint;
  std::uint64_t seed = 0;   // of weights, batches and dropout
  std::int64_t threads = 0; // of all processes together; 0: as many as the job may use
  TrainerDevices devices;
  std::string precision = "float32"; // float32, tf32, bf16: of products; on a GPU only
  bool operator==(const TrainerSpec&) const = default;
};

// What is wrong with a spec, or nullopt.
struct TrainerSpecProblem {
  std::string key;     // dotted, below `trainer`: "network.dropout"
  std::string message; // "must be in [0, 1), not 1.5"
};

// Ranges, words, and settings that do not go together. Does not look at files.
[[nodiscard]] std::optional<TrainerSpecProblem> find_problem(const TrainerSpec& spec);
// Throws Error(config) that names the key ("'trainer.network.dropout' must be ...").
void check(const TrainerSpec& spec);

// Whether a file is a table by its name: .csv or .tsv, gzipped or not.
[[nodiscard]] bool is_table_name(std::string_view file) noexcept;

// The words of the two enums, as mlp.yaml writes them.
[[nodiscard]] std::string_view trainer_kind_name(TrainerKind kind) noexcept;
[[nodiscard]] std::optional<TrainerKind> parse_trainer_kind(std::string_view name) noexcept;
[[nodiscard]] std::string_view data_format_name(DataFormat format) noexcept;
[[nodiscard]] std::optional<DataFormat> parse_data_format(std::string_view name) noexcept;

} // namespace mlp::config
