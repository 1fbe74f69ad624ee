// Shapes, initial values and layout of a network.
#include "core/base/error.hpp"
#include "core/train/network.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>

using namespace mlp;
using namespace mlp::train;

TEST_CASE("a network's layers view its flat buffers") {
  const Network network({5, 3, {{4, Activation::relu, true, 0.1F}, {7, Activation::gelu}}}, 1);
  const auto layers = network.layers();
  REQUIRE(layers.size() == 3);
  CHECK(layers[0].weight.size() == 20);
  CHECK(layers[0].batch_norm);
  CHECK(layers[0].gamma.size() == 4);
  CHECK(std::ranges::all_of(layers[0].gamma, [](float v) { return v == 1.0F; }));
  CHECK(std::ranges::all_of(layers[0].variance, [](float v) { return v == 1.0F; }));
  CHECK(std::ranges::all_of(layers[0].bias, [](float v) { return v == 0.0F; }));
  CHECK_FALSE(layers[1].batch_norm);
  CHECK(layers[1].inputs == 4);
  CHECK(layers[1].activation == Activation::gelu);
  CHECK(layers[2].outputs == 3);
  CHECK(layers[2].activation == Activation::none);
  // 4*5 + 2*4 (no bias before a normalisation) + 7*5 + 3*8
  CHECK(network.parameter_count() == 20 + 8 + 35 + 24);
  for (const LayerOffsets& at : network.offsets()) {
    CHECK(at.weight % 16 == 0);
    CHECK(at.weight < network.decayed());
    CHECK(at.bias >= network.decayed());
  }
}

TEST_CASE("initial weights depend on the seed alone and have He's spread") {
  const NetworkSpec spec{400, 10, {{300}}};
  const Network one(spec, 1);
  const Network again(spec, 1);
  const Network other(spec, 2);
  CHECK(std::ranges::equal(one.values(), again.values()));
  CHECK_FALSE(std::ranges::equal(one.values(), other.values()));
  double square = 0.0;
  const auto weight = one.layers()[0].weight;
  for (const float w : weight)
    square += static_cast<double>(w * w);
  CHECK(std::sqrt(square / static_cast<double>(weight.size())) ==
        Approx(std::sqrt(2.0 / 400.0)).epsilon(0.02));
}

TEST_CASE("a network that is too large or makes no sense is refused by name") {
  const auto message = [](const NetworkSpec& spec) -> std::string {
    try {
      check(spec);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      return error.message();
    }
    return "";
  };
  CHECK(message({0, 2, {}}).find("inputs") != std::string::npos);
  CHECK(message({2, -1, {}}).find("outputs") != std::string::npos);
  CHECK(message({2, 2, {{8}, {0}}}).find("hidden layer 2") != std::string::npos);
  CHECK(message({2, 2, {{8, Activation::relu, false, 1.0F}}}).find("dropout") != std::string::npos);
  CHECK(message({1 << 20, 2, {{1 << 20}}}).find("2^30") != std::string::npos);
  CHECK(message({2, 2, std::vector<HiddenLayer>(65, {8})}).find("65") != std::string::npos);
  CHECK(message({2, 2, {{8}}}).empty());
}
