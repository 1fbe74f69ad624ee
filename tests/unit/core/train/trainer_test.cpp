// The driver from a folder of files to a model: what it learns, writes and reports, and that an
// interruption changes nothing in the result.
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/json.hpp"
#include "core/train/trainer.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <stop_token>

namespace mlp::train {
namespace {

using config::TrainerKind;
using config::TrainerSpec;

// Points inside and outside a circle, with a category that tells nothing and some blanks.
void write_circle(const fs::path& folder) {
  std::string text = "x,y,noise,where\n";
  std::uint32_t state = 12345;
  const auto next = [&state] {
    state = state * 1664525U + 1013904223U;
    return static_cast<double>(state >> 8) / (1 << 24) * 2.0 - 1.0;
  };
  for (int i = 0; i < 800; ++i) {
    const double x = next(), y = next();
    text += std::to_string(x) + "," + (i % 50 == 7 ? "" : std::to_string(y)) + "," +
            (i % 2 == 0 ? "p" : "q") + (x * x + y * y < 0.6 ? ",in\n" : ",out\n");
  }
  write_file_atomic(folder / "circle.csv", text);
}

TrainerSpec small_spec() {
  TrainerSpec spec;
  spec.network.hidden = {32, 16};
  spec.network.dropout = 0.0;
  spec.optimizer.lr = 0.01;
  spec.epochs = 30;
  spec.batch_size = 32;
  spec.threads = 1;
  return spec;
}

} // namespace

TEST_CASE("the trainer learns a circle from a CSV file and writes a model with its metrics") {
  TemporaryDirectory folder;
  make_directories(folder.path() / "data");
  write_circle(folder.path() / "data");
  std::map<std::string, std::int64_t> last_step;
  std::vector<std::string> messages;
  TrainerEvents events;
  events.on_metric = [&](std::string_view name, double, std::int64_t step) {
    last_step[std::string(name)] = step;
  };
  events.on_message = [&](std::string_view text) { messages.emplace_back(text); };
  const TrainerResult result = run_trainer(
      small_spec(), {folder.path() / "data", folder.path() / "out", folder.path() / "checkpoints"},
      events);
  CHECK_FALSE(result.interrupted);
  CHECK(result.metrics.at("test_accuracy") >= 0.9);
  CHECK(result.metrics.at("test_error") == Approx(1.0 - result.metrics.at("test_accuracy")));
  CHECK(result.classes == std::vector<std::string>{"in", "out"});
  CHECK(result.test_rows == 160);
  CHECK(fs::file_size(result.model) > 1000);
  const Json written = parse_json(read_file(folder.path() / "out" / "metrics.json"), "metrics");
  CHECK(written.at("test_accuracy").get<double>() == result.metrics.at("test_accuracy"));
  for (const char* name :
       {"loss", "val_loss", "val_accuracy", "learning_rate", "samples_per_second", "test_accuracy"})
    CHECK(last_step.at(name) == result.epochs);
  CHECK(messages.at(0) == "read 'circle.csv': 800 rows, 2 numeric and 2 categorical columns");
  CHECK(fs::is_empty(folder.path() / "checkpoints")); // nothing is left to resume
}

TEST_CASE("a training that was stopped resumes to the same bytes") {
  TemporaryDirectory folder;
  make_directories(folder.path() / "data");
  write_circle(folder.path() / "data");
  TrainerSpec spec = small_spec();
  spec.epochs = 6;
  spec.network.dropout = 0.2;
  const auto folders = [&](const std::string& name) {
    return TrainerFolders{folder.path() / "data", folder.path() / (name + "-out"),
                          folder.path() / (name + "-checkpoints")};
  };
  const TrainerResult whole = run_trainer(spec, folders("whole"));

  std::stop_source stop;
  TrainerEvents events;
  int epochs = 0;
  events.on_epoch = [&](std::string_view, double) {
    if (++epochs == 3) stop.request_stop();
  };
  const TrainerResult part = run_trainer(spec, folders("part"), events, stop.get_token());
  CHECK(part.interrupted);
  CHECK_FALSE(fs::exists(folder.path() / "part-out" / "model.onnx"));
  std::vector<std::string> messages;
  TrainerEvents later;
  later.on_message = [&](std::string_view text) { messages.emplace_back(text); };
  const TrainerResult rest = run_trainer(spec, folders("part"), later);
  CHECK(std::find(messages.begin(), messages.end(), "resumes from a checkpoint after epoch 3") !=
        messages.end());
  CHECK(rest.metrics == whole.metrics);
  CHECK(read_file(rest.model) == read_file(whole.model));
}

TEST_CASE("a checkpoint of other settings is left, and training starts anew") {
  TemporaryDirectory folder;
  make_directories(folder.path() / "data");
  write_circle(folder.path() / "data");
  TrainerSpec spec = small_spec();
  spec.epochs = 4;
  std::stop_source stop;
  TrainerEvents events;
  events.on_epoch = [&](std::string_view, double) { stop.request_stop(); };
  const TrainerFolders folders{folder.path() / "data", folder.path() / "out",
                               folder.path() / "checkpoints"};
  CHECK(run_trainer(spec, folders, events, stop.get_token()).interrupted);
  spec.seed = 9;
  std::vector<std::string> messages;
  TrainerEvents later;
  later.on_message = [&](std::string_view text) { messages.emplace_back(text); };
  const TrainerResult result = run_trainer(spec, folders, later);
  CHECK_FALSE(result.interrupted);
  CHECK(std::find(messages.begin(), messages.end(),
                  "the checkpoint is of other settings or data; starts anew") != messages.end());
}

TEST_CASE("a regressor with Huber loss learns a line") {
  TemporaryDirectory folder;
  make_directories(folder.path() / "data");
  std::string text = "a,b,y\n";
  for (int i = 0; i < 400; ++i)
    text += std::to_string(i % 20) + "," + std::to_string(i * 7 % 13) + "," +
            std::to_string(500 + 3 * (i % 20) - 5 * (i * 7 % 13)) + "\n";
  write_file_atomic(folder.path() / "data" / "line.csv", text);
  TrainerSpec spec = small_spec();
  spec.kind = TrainerKind::regressor;
  spec.loss = "huber";
  spec.network.hidden = {};
  spec.epochs = 100;
  const TrainerResult result =
      run_trainer(spec, {folder.path() / "data", folder.path() / "out", {}});
  CHECK(result.metrics.at("test_r2") >= 0.99);
  CHECK(result.signature.outputs.at(0).name == "prediction");
}

TEST_CASE("settings and data that make no sense end the trainer before it writes a model") {
  TemporaryDirectory folder;
  TrainerSpec spec = small_spec();
  spec.epochs = 0;
  CHECK_THROWS_AS(run_trainer(spec, {folder.path(), folder.path() / "out", {}}), Error);
  spec.epochs = 1;
  CHECK_THROWS_AS(run_trainer(spec, {folder.path() / "none", folder.path() / "out", {}}), Error);
  CHECK_FALSE(fs::exists(folder.path() / "out" / "model.onnx"));
}

} // namespace mlp::train
