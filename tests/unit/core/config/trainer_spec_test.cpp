// Each rule about the trainer's settings: the key that it names, and what it says.
#include "core/base/error.hpp"
#include "core/config/trainer_spec.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <limits>

namespace mlp::config {
namespace {

struct Case {
  std::function<void(TrainerSpec&)> set;
  std::string key, message;
};

} // namespace

TEST_CASE("the trainer's defaults are valid for both kinds") {
  TrainerSpec spec;
  CHECK_FALSE(find_problem(spec));
  spec.kind = TrainerKind::regressor;
  CHECK_FALSE(find_problem(spec));
}

TEST_CASE("a trainer setting out of range is named with its range") {
  const std::vector<Case> cases = {
      {[](auto& s) { s.network.dropout = 1.0; }, "network.dropout", "must be in [0, 1), not 1"},
      {[](auto& s) { s.network.dropout = std::numeric_limits<double>::quiet_NaN(); },
       "network.dropout", "must be in [0, 1), not nan"},
      {[](auto& s) {
         s.network.hidden = {64, 0};
       },
       "network.hidden", "must be 1 to 1048576, not 0"},
      {[](auto& s) { s.network.activation = "selu"; }, "network.activation",
       "must be one of relu, gelu, tanh, not 'selu'"},
      {[](auto& s) { s.network.conv = {{.filters = 0}}; }, "network.conv.0.filters",
       "must be 1 to 16384, not 0"},
      {[](auto& s) {
         s.network.conv = {{.filters = 8}, {.filters = 8, .kernel_size = {3, 32}}};
       },
       "network.conv.1.kernel_size", "must be 1 to 31, not 32"},
      {[](auto& s) { s.network.conv = {{.filters = 8, .padding = "full"}}; },
       "network.conv.0.padding", "must be one of same, valid, not 'full'"},
      {[](auto& s) { s.network.conv = {{.filters = 8, .pool = "min"}}; }, "network.conv.0.pool",
       "must be one of none, max, average, not 'min'"},
      {[](auto& s) { s.network.conv = {{.filters = 8, .activation = "selu"}}; },
       "network.conv.0.activation", "must be one of relu, gelu, tanh, not 'selu'"},
      {[](auto& s) { s.network.conv = {{.filters = 8, .dropout = 1.0}}; }, "network.conv.0.dropout",
       "must be in [0, 1), not 1"},
      {[](auto& s) {
         s.network.conv = {{.filters = 8, .batch_norm = true}};
         s.batch_size = 1;
       },
       "batch_size", "must be 2 or more with batch_norm"},
      {[](auto& s) { s.network.conv.resize(65, {.filters = 8}); }, "network.conv",
       "has more than 64 layers"},
      {[](auto& s) {
         s.network.conv = {{.filters = 8}};
         s.data.train = "a.csv.gz";
       },
       "network.conv", "is for images, and 'data' describes a table"},
      {[](auto& s) {
         s.network.conv = {{.filters = 8}};
         s.kind = TrainerKind::regressor;
       },
       "network.conv", "is for classifiers of images"},
      {[](auto& s) { s.precision = "fp16"; }, "precision",
       "must be one of float32, tf32, bf16, not 'fp16'"},
      {[](auto& s) { s.optimizer.lr = 0.0; }, "optimizer.lr",
       "must be above 0 and at most 100, "
       "not 0"},
      {[](auto& s) { s.optimizer.name = "adam"; }, "optimizer.name",
       "must be one of adamw, sgd, not 'adam'"},
      {[](auto& s) { s.epochs = 0; }, "epochs", "must be 1 to 1000000, not 0"},
      {[](auto& s) { s.batch_size = -1; }, "batch_size", "must be 0 to 1048576, not -1"},
      {[](auto& s) {
         s.batch_size = 1;
         s.network.batch_norm = true;
       },
       "batch_size", "must be 2 or more with batch_norm"},
      {[](auto& s) { s.schedule.warmup_epochs = 40; }, "schedule.warmup_epochs",
       "must be in [0, 40), not 40"},
      {[](auto& s) { s.split.test = 1.0; }, "split.test", "must be in [0, 1), not 1"},
      {[](auto& s) { s.loss = "mse"; }, "loss", "must be one of cross_entropy, not 'mse'"},
      {[](auto& s) { s.data.delimiter = "ab"; }, "data.delimiter",
       "must be one of , ; | a tab or a space, not 'ab'"},
      {[](auto& s) {
         s.data.columns = {"a", "b", "a"};
       },
       "data.columns", "names 'a' twice"},
      {[](auto& s) { s.data.test = "t.csv"; }, "data.train",
       "is missing, though files to validate or test are given"},
      {[](auto& s) { s.data.test_labels = "l"; }, "data.test_labels", "is given without 'test'"},
      {[](auto& s) {
         s.data.features.include = {"a"};
         s.data.features.exclude = {"b"};
       },
       "data.features.exclude", "cannot stand beside 'include': give one of them"},
      {[](auto& s) {
         s.data.features.categorical = {"a"};
         s.data.features.log = {"a"};
       },
       "data.features.log", "names 'a', which is categorical"},
      {[](auto& s) {
         s.data.target = "y";
         s.data.features.numeric = {"y"};
       },
       "data.features.numeric", "names the target 'y'"},
      {[](auto& s) { s.data.classes = {"a"}; }, "data.classes", "must name at least two classes"},
      {[](auto& s) {
         s.data.class_weights = {{"a", 0.0}};
       },
       "data.class_weights", "of 'a' must be above 0 and at most 1e6, not 0"},
      {[](auto& s) {
         s.kind = TrainerKind::regressor;
         s.data.balanced = true;
       },
       "data.class_weights", "is for classifiers"},
  };
  for (const Case& each : cases) {
    TrainerSpec spec;
    each.set(spec);
    const auto found = find_problem(spec);
    REQUIRE(found);
    CHECK(found->key == each.key);
    CHECK(found->message == each.message);
  }
}

TEST_CASE("a bad trainer setting is thrown as a configuration error with its whole key") {
  TrainerSpec spec;
  spec.epochs = -3;
  try {
    check(spec);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK(error.message() == "'trainer.epochs' must be 1 to 1000000, not -3");
  }
}

} // namespace mlp::config
