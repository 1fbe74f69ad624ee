// trainer_reach DATA_SET FOLDER: trains on a published data set with the settings that a user would
// write, demands the quality that the project promises, and compares what the native runtime makes
// of the model file alone with the trainer's own predictions. Exit code 77: no such data here.
#include "core/base/error.hpp"
#include "core/base/process.hpp"
#include "core/train/data_files.hpp"
#include "core/train/trainer.hpp"
#include "tests/unit/core/train/exported.hpp"

#include <cstdio>
#include <string_view>

using namespace mlp;

namespace {

constexpr int kSkipped = 77;

struct Goal {
  fs::path data;
  config::TrainerSpec spec;
  std::string metric;
  double least = 0.0;
  double seconds = 0.0; // on an idle machine of 2 cores; MLP_TEST_STRICT_TIME=1 demands it
};

fs::path data_folder() {
  return get_env("MLP_TEST_DATA").value_or(MLP_TEST_DATA_DIR);
}

Goal fashion_mnist() {
  Goal goal{"/usr/share/datasets/fashion-mnist", {}, "test_accuracy", 0.88, 60.0};
  goal.spec.epochs = 15;
  return goal;
}

Goal fashion_mnist_conv() {
  Goal goal{"/usr/share/datasets/fashion-mnist", {}, "test_accuracy", 0.89, 240.0};
  goal.spec.network.conv = {{.filters = 16, .kernel_size = {5, 5}, .pool = "max"},
                            {.filters = 32, .kernel_size = {5, 5}, .pool = "max"}};
  goal.spec.network.hidden = {128};
  goal.spec.epochs = 5;
  return goal;
}

Goal adult() {
  Goal goal{data_folder() / "adult", {}, "test_accuracy", 0.85, 60.0};
  config::TrainerData& data = goal.spec.data;
  data.train = "adult.data";
  data.test = "adult.test";
  data.comment = "|";
  data.strip_label_suffix = ".";
  data.columns = {
      "age",          "workclass",    "fnlwgt",         "education",      "education-num",
      "marital",      "occupation",   "relationship",   "race",           "sex",
      "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"};
  return goal;
}

Goal california_housing() {
  Goal goal{data_folder() / "california-housing", {}, "test_r2", 0.75, 60.0};
  goal.spec.kind = config::TrainerKind::regressor;
  goal.spec.data.train = "housing.csv";
  goal.spec.data.target = "median_house_value";
  return goal;
}

// The raw columns of the file that `part` names, as kinds of the model's inputs.
train::Table raw_table(const Goal& goal, const model::Signature& signature,
                       const train::DataFile& file) {
  train::TableOptions options;
  options.dialect.comment = goal.spec.data.comment;
  options.columns = goal.spec.data.columns;
  options.header = options.columns.empty();
  options.only_declared = true;
  for (const model::TensorSpec& input : signature.inputs)
    options.kinds[input.name] = input.type == model::DataType::string ? train::ColumnKind::category
                                                                      : train::ColumnKind::number;
  return train::read_table(file.path, options);
}

// The largest difference over the rows of the test file, or of the only file.
double compare(const Goal& goal, const train::TrainerResult& result) {
  std::vector<std::string> messages;
  const train::TrainingData data = train::load_training_data(goal.spec, goal.data, messages);
  const auto runtime = native::runtime_factory().load(result.model, {});
  const bool classifier = !data.classes.empty();
  if (!data.pixels.empty()) {
    const std::int64_t first = data.test.front(), count = 10'000;
    const auto outputs = runtime->infer(train::image_tensors(data, first, count), {});
    return train::largest_difference(train::own_predictions(data, result.network, first, count),
                                     outputs.at(1).tensor.as<float>());
  }
  const train::DataFiles files = train::find_data_files(goal.spec.data, goal.data);
  const train::Table table =
      raw_table(goal, runtime->signature(), files.test.exists() ? files.test : files.train);
  const std::int64_t first = data.rows() - table.rows();
  const auto outputs = runtime->infer(train::column_tensors(runtime->signature(), table), {});
  return train::largest_difference(
      train::own_predictions(data, result.network, first, table.rows()),
      outputs.at(classifier ? 1 : 0).tensor.as<float>());
}

int run(std::string_view name, const fs::path& folder) {
  Goal goal = name == "fashion-mnist"        ? fashion_mnist()
              : name == "fashion-mnist-conv" ? fashion_mnist_conv()
              : name == "adult"              ? adult()
                                             : california_housing();
  if (!fs::exists(goal.data)) {
    std::printf("skipped: no %s\n", goal.data.c_str());
    return kSkipped;
  }
  const int seeds = name.starts_with("fashion-mnist") ? 1 : 5;
  bool good = true;
  for (int seed = 0; seed < seeds; ++seed) {
    goal.spec.seed = goal.spec.split.seed = static_cast<std::uint64_t>(seed);
    const train::TrainerResult result = train::run_trainer(goal.spec, {goal.data, folder, {}});
    const double reached = result.metrics.at(goal.metric), difference = compare(goal, result);
    std::printf("%s seed %d: %s %.4f (at least %.2f), %.1f s, runtime differs by %.2g\n",
                std::string(name).c_str(), seed, goal.metric.c_str(), reached, goal.least,
                result.seconds, difference);
    good = good && reached >= goal.least && difference <= 1e-5;
    if (get_env("MLP_TEST_STRICT_TIME") == "1") good = good && result.seconds <= goal.seconds;
  }
  return good ? 0 : 1;
}

} // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  try {
    return run(arguments[1], arguments[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
