// Training as its users see it: it learns, repeats itself bit for bit, goes on after a stop, stops
// early, and refuses what makes no sense.
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/train/fit.hpp"
#include "kernels/device.hpp"
#include "kernels/philox.hpp"
#include "tests/unit/core/train/stripes.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mlp;
using namespace mlp::train;

namespace {

constexpr std::int64_t kRows = 900;

// Points in a square: the class is the ring around the centre that they lie in, the target a wave.
struct Rings {
  std::vector<float> features;
  std::vector<std::int32_t> labels;
  std::vector<float> targets;
  std::vector<std::int32_t> order;
  Dataset data;

  Rings(const Rings&) = delete; // the spans view this object
  Rings& operator=(const Rings&) = delete;
  explicit Rings(bool classifier) {
    kernels::PhiloxSequence random(17, 5);
    for (std::int64_t i = 0; i < kRows; ++i) {
      const float x = 2.0F * random.uniform() - 1.0F;
      const float y = 2.0F * random.uniform() - 1.0F;
      features.insert(features.end(), {x, y});
      const float radius = std::sqrt(x * x + y * y);
      labels.push_back(radius < 0.45F ? 0 : (radius < 0.8F ? 1 : 2));
      targets.push_back(std::sin(3.0F * x) + y * y);
    }
    order.resize(kRows);
    std::iota(order.begin(), order.end(), 0);
    const std::span<const std::int32_t> all = order;
    data.rows = kRows;
    data.inputs = 2;
    data.features = features;
    data.outputs = classifier ? 3 : 1;
    if (classifier)
      data.labels = labels;
    else
      data.targets = targets;
    data.train = all.first(600);
    data.validation = all.subspan(600, 150);
    data.test = all.subspan(750);
  }
};

FitSpec small_spec() {
  FitSpec spec;
  spec.hidden = {{32, Activation::gelu, true, 0.1F}, {16, Activation::tanh, false, 0.1F}};
  spec.optimizer.learning_rate = 0.01F;
  spec.epochs = 12;
  spec.batch = 64; // 600 is not a multiple
  spec.threads = 2;
  spec.seed = 9;
  return spec;
}

bool same_bits(const Network& a, const Network& b) {
  return std::ranges::equal(a.values(), b.values()) &&
         std::ranges::equal(a.statistics(), b.statistics());
}

} // namespace

TEST_CASE("a classifier learns rings, and a report says how it goes") {
  const Rings rings(true);
  FitSpec spec = small_spec();
  spec.epochs = 40;
  std::vector<EpochReport> reports;
  FitCallbacks callbacks;
  callbacks.on_epoch = [&](const EpochReport& r) { reports.push_back(r); };
  const FitResult result = fit(spec, rings.data, callbacks);
  REQUIRE(reports.size() == 40);
  CHECK(reports.front().epoch == 1);
  CHECK(reports.back().loss < reports.front().loss / 2);
  CHECK(reports.back().samples_per_second > 0.0);
  CHECK(reports.back().seconds_left == Approx(0.0).margin(1e-9));
  REQUIRE(result.test.has_value());
  CHECK(result.test->accuracy > 0.9);
  CHECK(result.end == FitEnd::completed);

  // The result is the best epoch's network, and predict() agrees with its metrics.
  double best = 0.0;
  for (const EpochReport& r : reports)
    best = std::max(best, r.validation->accuracy);
  CHECK(result.validation->accuracy == Approx(best));
  const auto device = kernels::make_cpu_device(1);
  const std::vector<float> logits =
      result.network.predict(*device, std::span<const float>(rings.features).subspan(2 * 750));
  int right = 0;
  for (std::size_t i = 0; i < 150; ++i) {
    const auto row = std::span<const float>(logits).subspan(3 * i, 3);
    right += std::ranges::max_element(row) - row.begin() == rings.labels[750 + i] ? 1 : 0;
  }
  CHECK(right / 150.0 == Approx(result.test->accuracy));
  CHECK(evaluate(*device, result.network, spec, rings.data, rings.data.test).accuracy ==
        Approx(result.test->accuracy));
}

TEST_CASE("a network with convolutions learns stripes, and goes on after a stop to the same bits") {
  const Stripes stripes(1000);
  FitSpec spec;
  spec.conv = {{.filters = 6, .kernel = {5, 5}, .pooling = Pooling::max, .batch_norm = true},
               {.filters = 8, .pooling = Pooling::average, .dropout = 0.1F}};
  spec.hidden = {{16, Activation::relu, false, 0.1F}};
  spec.optimizer.learning_rate = 0.01F;
  spec.epochs = 8;
  spec.batch = 64; // 600 is not a multiple
  spec.threads = 2;
  const FitResult whole = fit(spec, stripes.data);
  REQUIRE(whole.test.has_value());
  CHECK(whole.test->accuracy > 0.85);
  CHECK(same_bits(fit(spec, stripes.data).network, whole.network));
  const auto device = kernels::make_cpu_device(2);
  CHECK(evaluate(*device, whole.network, spec, stripes.data, stripes.data.test).accuracy ==
        Approx(whole.test->accuracy));

  const TemporaryDirectory folder;
  spec.checkpoint = folder.path() / "checkpoint";
  std::stop_source stop;
  FitCallbacks callbacks;
  callbacks.on_epoch = [&](const EpochReport& r) {
    if (r.epoch == 3) stop.request_stop();
  };
  CHECK(fit(spec, stripes.data, callbacks, stop.get_token()).end == FitEnd::interrupted);
  CHECK(same_bits(fit(spec, stripes.data).network, whole.network));

  // Another window is another training.
  spec.conv[1].kernel = {3, 1};
  try {
    (void)fit(spec, stripes.data);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::conflict);
  }
  // More than a device can hold at once.
  FitSpec large = spec;
  large.conv[0].filters = 400;
  large.batch = 1 << 20;
  try {
    (void)fit(large, stripes.data);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    REQUIRE(error.hints().size() == 1);
    CHECK(error.hints()[0].find("a smaller batch_size") != std::string::npos);
  }
  // Convolutions of rows that are no images.
  Dataset table = stripes.data;
  table.image = {};
  CHECK_THROWS_AS(fit(spec, table), Error);
}

TEST_CASE("a regressor learns a wave with either loss") {
  const Rings rings(false);
  FitSpec spec = small_spec();
  spec.hidden = {{32, Activation::gelu}};
  spec.loss = GENERATE(Loss::mse, Loss::huber);
  spec.epochs = 150;
  spec.optimizer.learning_rate = 0.03F;
  Dataset data = rings.data;
  data.target_scale = 10.0F;
  const FitResult result = fit(spec, data);
  REQUIRE(result.test.has_value());
  CHECK(result.test->r2 > 0.97);
  CHECK(std::isnan(result.test->accuracy));
  CHECK(result.test->rmse < 10.0 * 0.15);
  CHECK(result.test->mae < result.test->rmse);
}

TEST_CASE("the same seed gives the same bits, another one others") {
  const Rings rings(true);
  FitSpec spec = small_spec();
  spec.threads = GENERATE(1, 2, 3);
  const FitResult one = fit(spec, rings.data);
  const FitResult again = fit(spec, rings.data);
  CHECK(same_bits(one.network, again.network));
  spec.seed += 1;
  CHECK_FALSE(same_bits(one.network, fit(spec, rings.data).network));
}

TEST_CASE("a training that was stopped anywhere goes on to the same bits") {
  const Rings rings(true);
  FitSpec spec = small_spec();
  spec.patience = 6;
  const auto optimizer = GENERATE(OptimizerKind::adamw, OptimizerKind::sgd);
  spec.optimizer.kind = optimizer;
  const FitResult whole = fit(spec, rings.data);

  const TemporaryDirectory folder;
  spec.checkpoint = folder.path() / "checkpoint";
  // Stopped at the end of the second and of the fifth epoch's callbacks.
  for (const std::int64_t at : {2, 5}) {
    std::stop_source stop;
    FitCallbacks callbacks;
    callbacks.on_epoch = [&](const EpochReport& r) {
      if (r.epoch == at) stop.request_stop();
    };
    const FitResult part = fit(spec, rings.data, callbacks, stop.get_token());
    CHECK(part.end == FitEnd::interrupted);
    CHECK(part.epochs_run == at);
    CHECK_FALSE(part.test.has_value());
  }
  std::int64_t resumed = -1;
  FitCallbacks callbacks;
  callbacks.on_resume = [&](std::int64_t epoch) { resumed = epoch; };
  const FitResult rest = fit(spec, rings.data, callbacks);
  CHECK(resumed == 5);
  CHECK(rest.end == whole.end);
  CHECK(rest.epochs_run == whole.epochs_run);
  CHECK(rest.best_epoch == whole.best_epoch);
  CHECK(same_bits(rest.network, whole.network));
  // Once more: it is complete, and comes back at once.
  CHECK(same_bits(fit(spec, rings.data).network, whole.network));
}

TEST_CASE("a training that was stopped within an epoch goes on to the same bits") {
  Rings rings(true);
  // Enough work for a tick (100 ms) within the epoch.
  std::vector<std::int32_t> many;
  for (int i = 0; i < 400; ++i)
    many.insert(many.end(), rings.data.train.begin(), rings.data.train.end());
  rings.data.train = many;
  FitSpec spec = small_spec();
  spec.epochs = 1;
  spec.threads = 1;
  const FitResult whole = fit(spec, rings.data);

  const TemporaryDirectory folder;
  spec.checkpoint = folder.path() / "checkpoint";
  std::stop_source stop;
  FitCallbacks callbacks;
  Tick seen;
  callbacks.on_tick = [&](const Tick& tick) {
    seen = tick;
    stop.request_stop();
  };
  const FitResult part = fit(spec, rings.data, callbacks, stop.get_token());
  if (part.end == FitEnd::interrupted) { // else the machine did the epoch in less than a tick
    CHECK(seen.samples > 0);
    CHECK(seen.samples_in_epoch == static_cast<std::int64_t>(many.size()));
    CHECK(part.epochs_run == 0);
  }
  CHECK(same_bits(fit(spec, rings.data).network, whole.network));
}

TEST_CASE("a checkpoint of other settings is not mixed in") {
  const Rings rings(true);
  const TemporaryDirectory folder;
  FitSpec spec = small_spec();
  spec.epochs = 2;
  spec.checkpoint = folder.path() / "checkpoint";
  (void)fit(spec, rings.data);
  FitSpec other = spec;
  other.optimizer.learning_rate *= 2.0F;
  CHECK_THROWS_AS(fit(other, rings.data), Error);
  other.resume = false;
  CHECK_NOTHROW(fit(other, rings.data));
  Rings changed(true);
  changed.features[0] += 1.0F;
  other.resume = true;
  CHECK_THROWS_AS(fit(other, changed.data), Error);
}

TEST_CASE("early stopping ends a training that no longer improves") {
  const Rings rings(true);
  FitSpec spec = small_spec();
  spec.epochs = 400;
  spec.patience = 5;
  const FitResult result = fit(spec, rings.data);
  CHECK(result.end == FitEnd::early_stopped);
  CHECK(result.epochs_run < 400);
  CHECK(result.epochs_run >= result.best_epoch + 5);
}

TEST_CASE("pixels and standardised features train to the same bits") {
  const Rings rings(true);
  std::vector<std::uint8_t> pixels;
  std::vector<float> floats;
  for (const float f : rings.features) {
    pixels.push_back(static_cast<std::uint8_t>((f + 1.0F) * 127.0F));
    floats.push_back((static_cast<float>(pixels.back()) - 100.0F) * 0.0078125F);
  }
  const float mean = 100.0F;
  const float scale = 0.0078125F; // a power of two: exact in either way
  Dataset bytes = rings.data;
  bytes.features = {};
  bytes.pixels = pixels;
  bytes.mean = {&mean, 1};
  bytes.scale = {&scale, 1};
  Dataset ready = rings.data;
  ready.features = floats;
  CHECK(same_bits(fit(small_spec(), bytes).network, fit(small_spec(), ready).network));
}

TEST_CASE("class weights make a rare class count") {
  Rings rings(true);
  std::vector<std::int32_t> rare; // one in ten of class 0
  int seen = 0;
  for (const std::int32_t row : rings.data.train)
    if (rings.labels[static_cast<std::size_t>(row)] != 0 || ++seen % 10 == 0) rare.push_back(row);
  rings.data.train = rare;
  const auto recall = [&](std::vector<float> weights) {
    FitSpec spec = small_spec();
    spec.epochs = 15;
    spec.class_weights = std::move(weights);
    const FitResult result = fit(spec, rings.data);
    const auto device = kernels::make_cpu_device(1);
    const auto logits = result.network.predict(*device, rings.features);
    int found = 0;
    int there = 0;
    for (std::size_t i = 600; i < kRows; ++i) {
      if (rings.labels[i] != 0) continue;
      ++there;
      const auto row = std::span<const float>(logits).subspan(3 * i, 3);
      found += std::ranges::max_element(row) - row.begin() == 0 ? 1 : 0;
    }
    return static_cast<double>(found) / there;
  };
  CHECK(recall({20.0F, 1.0F, 1.0F}) > recall({}));
}

TEST_CASE("a loss that is no longer finite is an error with a hint") {
  Rings rings(true);
  rings.features[10] = std::numeric_limits<float>::quiet_NaN();
  rings.data.features = rings.features;
  try {
    (void)fit(small_spec(), rings.data);
    FAIL("it went on");
  } catch (const Error& error) {
    CHECK(error.message() == "the loss is no longer finite in epoch 1");
    CHECK(error.hints().size() == 1);
  }
}

TEST_CASE("settings and data that make no sense are refused by name") {
  const Rings rings(true);
  const auto message = [&](const auto& change) -> std::string {
    FitSpec spec = small_spec();
    Dataset data = rings.data;
    change(spec, data);
    try {
      (void)fit(spec, data);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      return error.message();
    }
    return "";
  };
  const auto names = [&](const char* word, const auto& change) {
    CAPTURE(word);
    CHECK(message(change).find(word) != std::string::npos);
  };
  names("epochs", [](FitSpec& s, Dataset&) { s.epochs = 0; });
  names("batch", [](FitSpec& s, Dataset&) { s.batch = -3; });
  names("learning rate", [](FitSpec& s, Dataset&) { s.optimizer.learning_rate = -1.0F; });
  names("momentum", [](FitSpec& s, Dataset&) { s.optimizer.momentum = 1.0F; });
  names("warm-up", [](FitSpec& s, Dataset&) { s.schedule.warmup = 1.0F; });
  names("class weights", [](FitSpec& s, Dataset&) { s.class_weights = {1.0F}; });
  names("class weight", [](FitSpec& s, Dataset&) { s.class_weights = {1.0F, 0.0F, 1.0F}; });
  names("train", [](FitSpec&, Dataset& d) { d.train = {}; });
  names("features", [](FitSpec&, Dataset& d) { d.features = {}; });
  names("feature matrix", [](FitSpec&, Dataset& d) { d.features = d.features.first(10); });
  names("two classes", [](FitSpec&, Dataset& d) { d.outputs = 1; });
  const std::int32_t beyond[] = {0, 900};
  names("900", [&](FitSpec&, Dataset& d) { d.validation = beyond; });
  std::vector<std::int32_t> labels = rings.labels;
  labels[4] = 3;
  names("row 4", [&](FitSpec&, Dataset& d) { d.labels = labels; });
  names("huber", [&](FitSpec& s, Dataset& d) {
    s.loss = Loss::huber;
    s.huber_delta = 0.0F;
    d.outputs = 1;
    d.targets = rings.targets;
  });
}
