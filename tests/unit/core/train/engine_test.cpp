// Gradients of the whole network against finite differences, for each layer kind and loss.
#include "core/train/engine.hpp"
#include "kernels/philox.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>

using namespace mlp;
using namespace mlp::train;

namespace {

constexpr std::int64_t kRows = 24;

// A batch of random inputs with targets, and the loss of a network on it as training sees it: with
// the batch's statistics and a dropout that the step's number decides.
class Case {
 public:
  Case(NetworkSpec spec, Engine::LossSpec loss, std::vector<float> class_weights = {})
      : network(std::move(spec), 5), weights(std::move(class_weights)), loss_(loss),
        engine(*device, network, kRows, true) {
    if (!weights.empty()) loss_.class_weights = weights.data();
    kernels::PhiloxSequence random(3, 99);
    const std::int64_t outputs = network.spec().outputs;
    for (std::int64_t i = 0; i < kRows * network.spec().inputs; ++i)
      engine.input()[i] = 2.0F * random.uniform() - 1.0F;
    for (std::int64_t i = 0; i < kRows; ++i)
      engine.labels()[i] =
          static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(outputs)));
    for (std::int64_t i = 0; i < kRows * outputs; ++i)
      engine.targets()[i] = 4.0F * random.uniform() - 2.0F;
    *engine.state() = {.step = 3, .seed = 8, .first_row = 0, .learning_rate = 0.01F};
    // Away from the initial zeros, so that every parameter matters.
    for (float& value : network.values())
      value += 0.2F * (random.uniform() - 0.5F);
    engine.load(network);
  }

  double loss() {
    *engine.stats() = {};
    engine.backpropagate(kRows, loss_);
    return engine.stats()->loss / engine.stats()->weight;
  }

  std::unique_ptr<kernels::Device> device = kernels::make_cpu_device(1);
  Network network;
  std::vector<float> weights;
  Engine::LossSpec loss_;
  Engine engine;
};

// The gradient along a random direction, for each tensor by itself.
void check_gradients(Case& c, double tolerance = 2e-3) {
  (void)c.loss();
  const std::vector<float> gradient = c.engine.gradients();
  const std::vector<float> start(c.network.values().begin(), c.network.values().end());
  kernels::PhiloxSequence random(1, 7);
  const auto check_tensor = [&](std::int64_t at, std::int64_t size) {
    if (at < 0) return;
    std::vector<float> direction(static_cast<std::size_t>(size));
    double norm = 0.0;
    for (float& d : direction) {
      d = 2.0F * random.uniform() - 1.0F;
      norm += static_cast<double>(d * d);
    }
    double along = 0.0;
    for (std::size_t i = 0; i < direction.size(); ++i) {
      direction[i] /= static_cast<float>(std::sqrt(norm));
      along += static_cast<double>(direction[i]) *
               static_cast<double>(gradient[static_cast<std::size_t>(at) + i]);
    }
    constexpr double kStep = 4e-3;
    const auto loss_at = [&](double step) {
      for (std::size_t i = 0; i < direction.size(); ++i)
        c.network.values()[static_cast<std::size_t>(at) + i] =
            start[static_cast<std::size_t>(at) + i] + static_cast<float>(step) * direction[i];
      c.engine.load(c.network);
      return c.loss();
    };
    // Five points: the error is of the fourth order in the step.
    const double slope = (8.0 * (loss_at(kStep) - loss_at(-kStep)) -
                          (loss_at(2.0 * kStep) - loss_at(-2.0 * kStep))) /
                         (12.0 * kStep);
    loss_at(0.0);
    CAPTURE(at, size, along, slope);
    CHECK(std::fabs(slope - along) <= tolerance * std::max(1.0, std::fabs(along)));
  };
  const auto views = c.network.layers();
  for (std::size_t i = 0; i < views.size(); ++i) {
    const LayerOffsets& at = c.network.offsets()[i];
    check_tensor(at.weight, views[i].inputs * views[i].outputs);
    if (!views[i].batch_norm) check_tensor(at.bias, views[i].outputs);
    check_tensor(at.gamma, views[i].outputs);
    check_tensor(at.beta, views[i].outputs);
  }
}

NetworkSpec two_layers(Activation activation, bool batch_norm, float dropout) {
  return {7, 3, {{13, activation, batch_norm, dropout}, {9, activation, batch_norm, dropout}}};
}

} // namespace

TEST_CASE("gradients agree with finite differences for smooth activations") {
  const auto activation = GENERATE(Activation::gelu, Activation::tanh, Activation::none);
  const bool batch_norm = GENERATE(false, true);
  const float dropout = GENERATE(0.0F, 0.4F);
  Case c(two_layers(activation, batch_norm, dropout), {});
  check_gradients(c);
}

TEST_CASE("gradients of a network with rectifiers agree with finite differences") {
  // One hidden layer: fewer kinks near the point where the slope is measured.
  const bool batch_norm = GENERATE(false, true);
  Case c({7, 3, {{13, Activation::relu, batch_norm, 0.25F}}}, {});
  check_gradients(c, 2e-2);
}

TEST_CASE("gradients of every loss agree with finite differences") {
  SECTION("cross-entropy with class weights") {
    Case c(two_layers(Activation::tanh, false, 0.0F), {}, {0.5F, 1.0F, 4.0F});
    check_gradients(c);
  }
  SECTION("mean squared error") {
    Case c(two_layers(Activation::tanh, false, 0.0F), {.kind = Loss::mse});
    check_gradients(c);
  }
  SECTION("Huber") {
    Case c(two_layers(Activation::tanh, false, 0.0F), {.kind = Loss::huber, .huber_delta = 0.8F});
    check_gradients(c);
  }
}

namespace {

NetworkSpec convolutions(Activation activation, Pooling pooling, bool batch_norm, float dropout) {
  ConvLayer first{.filters = 5,
                  .pooling = pooling,
                  .activation = activation,
                  .batch_norm = batch_norm,
                  .dropout = dropout};
  ConvLayer second = first; // an odd zero, steps, and a pooling that leaves a row out
  second.filters = 3;
  second.kernel = {2, 3};
  second.stride = {1, 2};
  second.pool = {2, 1};
  return {7 * 6 * 2, 3, {{9, activation, batch_norm, dropout}}, {first, second}, {7, 6, 2}};
}

} // namespace

TEST_CASE("gradients of convolutions agree with finite differences") {
  const auto activation = GENERATE(Activation::gelu, Activation::tanh);
  const auto pooling = GENERATE(Pooling::none, Pooling::average);
  const bool batch_norm = GENERATE(false, true);
  const float dropout = GENERATE(0.0F, 0.4F);
  Case c(convolutions(activation, pooling, batch_norm, dropout), {});
  check_gradients(c, 3e-3);
}

TEST_CASE("gradients of convolutions with pooled maxima agree with finite differences") {
  // Another cell may become the largest where the slope is measured.
  const bool batch_norm = GENERATE(false, true);
  Case c(convolutions(Activation::tanh, Pooling::max, batch_norm, 0.25F), {});
  check_gradients(c, 2e-2);
}

TEST_CASE("gradients of a convolution without zeros around agree with finite differences") {
  NetworkSpec spec = convolutions(Activation::tanh, Pooling::none, false, 0.0F);
  spec.conv[0].same = false;
  spec.conv[0].stride = {2, 1};
  spec.hidden = {};
  Case c(spec, {});
  check_gradients(c);
}

TEST_CASE("a normalisation behind a convolution is over all positions of all rows") {
  NetworkSpec spec = convolutions(Activation::relu, Pooling::none, true, 0.0F);
  spec.conv.resize(1);
  spec.conv[0].kernel = {1, 1}; // each filter a sum of two channels
  Case c(spec, {});
  for (int i = 0; i < 200; ++i)
    (void)c.loss();
  c.engine.store(c.network);
  const LayerView layer = c.network.layers()[0];
  for (std::size_t filter = 0; filter < 5; ++filter) {
    std::vector<double> z;
    for (std::int64_t at = 0; at < kRows * 7 * 6; ++at)
      z.push_back(static_cast<double>(c.engine.input()[at * 2]) * layer.weight[filter * 2] +
                  static_cast<double>(c.engine.input()[at * 2 + 1]) * layer.weight[filter * 2 + 1]);
    double mean = 0.0;
    for (const double value : z)
      mean += value / static_cast<double>(z.size());
    double variance = 0.0;
    for (const double value : z)
      variance += (value - mean) * (value - mean) / static_cast<double>(z.size() - 1);
    CHECK(layer.mean[filter] == Approx(mean).margin(1e-5));
    CHECK(layer.variance[filter] == Approx(variance).epsilon(1e-4));
  }
}

TEST_CASE("inference of convolutions gives what training computed") {
  const auto pooling = GENERATE(Pooling::none, Pooling::max, Pooling::average);
  Case c(convolutions(Activation::gelu, pooling, false, 0.0F), {});
  const double training = c.loss();
  *c.engine.stats() = {};
  (void)c.engine.infer(kRows);
  c.engine.add_loss(kRows, c.loss_);
  CHECK(c.engine.stats()->loss / c.engine.stats()->weight == Approx(training).epsilon(1e-6));
}

TEST_CASE("a network without hidden layers has gradients too") {
  Case c({7, 3, {}}, {});
  check_gradients(c);
}

TEST_CASE("an AdamW step moves weights as computed by hand, and only weights decay") {
  Case c({2, 2, {}}, {});
  (void)c.loss();
  const std::vector<float> g = c.engine.gradients();
  const std::vector<float> before(c.network.values().begin(), c.network.values().end());
  Optimizer o;
  o.weight_decay = 0.5F;
  c.engine.state()->step = 1;
  c.engine.state()->learning_rate = 0.1F;
  c.engine.update(o);
  c.engine.store(c.network);
  for (std::size_t i = 0; i < before.size(); ++i) {
    // At the first step the corrected moments are g and g^2.
    const bool decays = static_cast<std::int64_t>(i) < c.network.decayed();
    const float want = before[i] * (decays ? 1.0F - 0.1F * 0.5F : 1.0F) -
                       0.1F * g[i] / (std::fabs(g[i]) + o.epsilon);
    CHECK(c.network.values()[i] == Approx(want).margin(1e-6));
  }
}

TEST_CASE("SGD with momentum keeps a velocity") {
  Case c({2, 2, {}}, {});
  Optimizer o;
  o.kind = OptimizerKind::sgd;
  o.momentum = 0.5F;
  o.weight_decay = 0.0F;
  c.engine.state()->learning_rate = 0.1F;
  (void)c.loss();
  const std::vector<float> g1 = c.engine.gradients();
  const std::vector<float> w0(c.network.values().begin(), c.network.values().end());
  c.engine.update(o);
  (void)c.loss();
  const std::vector<float> g2 = c.engine.gradients();
  c.engine.update(o);
  c.engine.store(c.network);
  for (std::size_t i = 0; i < w0.size(); ++i)
    CHECK(c.network.values()[i] ==
          Approx(w0[i] - 0.1F * g1[i] - 0.1F * (0.5F * g1[i] + g2[i])).margin(1e-6));
}

TEST_CASE("batch normalisation's running statistics converge to the data's") {
  Case c({7, 3, {{5, Activation::relu, true, 0.0F}}}, {});
  for (int i = 0; i < 200; ++i)
    (void)c.loss();
  c.engine.store(c.network);
  const LayerView layer = c.network.layers()[0];
  for (std::int64_t unit = 0; unit < 5; ++unit) {
    std::vector<double> z;
    for (std::int64_t row = 0; row < kRows; ++row) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < 7; ++i)
        sum += static_cast<double>(c.engine.input()[row * 7 + i]) *
               static_cast<double>(layer.weight[static_cast<std::size_t>(unit * 7 + i)]);
      z.push_back(sum);
    }
    double mean = 0.0;
    for (const double value : z)
      mean += value / static_cast<double>(kRows);
    double variance = 0.0;
    for (const double value : z)
      variance += (value - mean) * (value - mean) / static_cast<double>(kRows - 1);
    CHECK(layer.mean[static_cast<std::size_t>(unit)] == Approx(mean).margin(1e-5));
    CHECK(layer.variance[static_cast<std::size_t>(unit)] == Approx(variance).epsilon(1e-4));
  }
}

TEST_CASE("with its own batch's statistics, inference gives what training computed") {
  // No dropout: both losses are of the same outputs.
  Case c({7, 3, {{11, Activation::gelu, false, 0.0F}, {6, Activation::relu, false, 0.0F}}}, {});
  const double training = c.loss();
  *c.engine.stats() = {};
  (void)c.engine.infer(kRows);
  c.engine.add_loss(kRows, c.loss_);
  CHECK(c.engine.stats()->loss / c.engine.stats()->weight == Approx(training).epsilon(1e-6));
}

TEST_CASE("dropout keeps the mean of what it passes on") {
  const auto device = kernels::make_cpu_device(2);
  constexpr std::int64_t kCount = 1 << 18;
  std::vector<float> z(kCount, 1.0F);
  const kernels::StepState state{.step = 1, .seed = 42};
  device->epilogue({}, {.rows = 256, .cols = kCount / 256, .dropout = 0.3F}, &state, nullptr,
                   z.data(), z.data());
  double sum = 0.0;
  double kept = 0.0;
  for (const float value : z) {
    sum += static_cast<double>(value);
    kept += value != 0.0F ? 1.0 : 0.0;
  }
  CHECK(sum / kCount == Approx(1.0).margin(0.006)); // five standard deviations
  CHECK(kept / kCount == Approx(0.7).margin(0.0045));
}

TEST_CASE("predict takes any number of rows and refuses parts of one") {
  const auto device = kernels::make_cpu_device(2);
  const Network network({3, 2, {{4}}}, 1);
  std::vector<float> rows(3 * 2500);
  for (std::size_t i = 0; i < rows.size(); ++i)
    rows[i] = static_cast<float>(i % 17) * 0.1F;
  const std::vector<float> all = network.predict(*device, rows);
  REQUIRE(all.size() == 2 * 2500);
  for (const std::size_t row : {0U, 1023U, 1024U, 2499U}) {
    const auto one = network.predict(*device, std::span<const float>(rows).subspan(row * 3, 3));
    CHECK(one[0] == Approx(all[row * 2]).margin(1e-6));
    CHECK(one[1] == Approx(all[row * 2 + 1]).margin(1e-6));
  }
  CHECK(network.predict(*device, {}).empty());
  CHECK_THROWS_AS(network.predict(*device, std::span<const float>(rows).first(4)), Error);
}
