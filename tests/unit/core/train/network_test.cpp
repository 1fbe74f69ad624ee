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

namespace {

// 9x7 with 2 channels; the second convolution has an odd zero, and its pooling leaves a cell out.
NetworkSpec conv_spec() {
  ConvLayer first{.filters = 5, .kernel = {3, 5}, .pooling = Pooling::max, .batch_norm = true};
  ConvLayer second{.filters = 4,
                   .kernel = {2, 3},
                   .stride = {1, 2},
                   .pooling = Pooling::average,
                   .pool = {3, 1},
                   .activation = Activation::tanh};
  return {9 * 7 * 2, 3, {{6}}, {first, second}, {9, 7, 2}};
}

} // namespace

TEST_CASE("convolutions come before the dense layers, with weights of a window for each filter") {
  const Network network(conv_spec(), 1);
  const auto layers = network.layers();
  REQUIRE(layers.size() == 4);
  REQUIRE(layers[0].conv != nullptr);
  CHECK(layers[0].weight.size() == 5 * 3 * 5 * 2);
  CHECK(layers[0].batch_norm);
  CHECK(layers[0].gamma.size() == 5);
  CHECK(layers[0].shape.pad_begin == Extent{1, 2});
  CHECK(layers[0].shape.pad_end == Extent{1, 2});
  CHECK(layers[0].shape.conv == ImageShape{9, 7, 5});
  CHECK(layers[0].shape.out == ImageShape{4, 3, 5});
  CHECK(layers[1].weight.size() == 4 * 2 * 3 * 5);
  CHECK(layers[1].shape.pad_begin == Extent{0, 1});
  CHECK(layers[1].shape.pad_end == Extent{1, 1});
  CHECK(layers[1].shape.conv == ImageShape{4, 2, 4});
  CHECK(layers[1].shape.out == ImageShape{1, 2, 4});
  CHECK(layers[1].activation == Activation::tanh);
  CHECK(layers[2].conv == nullptr);
  CHECK(layers[2].inputs == 8);
  CHECK(layers[2].outputs == 6);
  CHECK(layers[3].outputs == 3);
  // No bias before a normalisation.
  CHECK(network.parameter_count() == 150 + 2 * 5 + 120 + 4 + 6 * 9 + 3 * 7);
  for (std::size_t i = 1; i < 4; ++i)
    CHECK(network.offsets()[i].weight > network.offsets()[i - 1].weight);
  CHECK(network.offsets()[0].bias >= network.decayed());
  double most = 0.0;
  for (const float w : layers[0].weight)
    most = std::max(most, static_cast<double>(std::fabs(w)));
  CHECK(most <= std::sqrt(6.0 / 30.0)); // He's uniform: fan in is the window's values
  CHECK(most > 0.9 * std::sqrt(6.0 / 30.0));
}

TEST_CASE("without zeros around, a convolution gives the positions where its window fits") {
  NetworkSpec spec = conv_spec();
  spec.conv[0].same = false;
  spec.conv[0].stride = {2, 1};
  spec.conv[0].pooling = Pooling::none;
  CHECK(conv_shapes(spec)[0].out == ImageShape{4, 3, 5});
  CHECK(conv_shapes(spec)[0].pad_end == Extent{0, 0});
}

TEST_CASE("convolutions that are too large or do not fit are refused by name") {
  const auto message = [](const auto& change) -> std::string {
    NetworkSpec spec = conv_spec();
    change(spec);
    try {
      const Network network(spec, 1);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::config);
      return error.message();
    }
    return "";
  };
  CHECK(message([](NetworkSpec&) {}).empty());
  CHECK(message([](NetworkSpec& s) { s.conv[1].filters = 0; }) ==
        "the number of filters of convolution 2 is 0, it has to be 1 to 16384");
  CHECK(message([](NetworkSpec& s) { s.conv[0].kernel.width = 32; }) ==
        "the width of the kernel_size of convolution 1 is 32, it has to be 1 to 31");
  CHECK(message([](NetworkSpec& s) { s.conv[0].stride.height = -1; }).find("stride") !=
        std::string::npos);
  CHECK(message([](NetworkSpec& s) { s.conv[0].pool.height = 0; }).find("pool_size") !=
        std::string::npos);
  CHECK(message([](NetworkSpec& s) {
          s.conv[0].dropout = 1.0F;
        }).find("dropout of convolution 1") != std::string::npos);
  CHECK(message([](NetworkSpec& s) {
          s.conv[1].same = false;
          s.conv[1].kernel = {5, 5};
        }) == "the kernel_size of convolution 2, 5x5, does not fit into the 4x3 that it is given");
  CHECK(message([](NetworkSpec& s) {
          s.conv[1].pool = {5, 1};
        }) == "the pool_size of convolution 2, 5x1, does not fit into the 4x2 that it is given");
  CHECK(message([](NetworkSpec& s) { s.image.channels = 1; }) ==
        "rows of 126 inputs are no images of 9x7x1");
  CHECK(message([](NetworkSpec& s) { s.image = {}; }).find("height of the images") !=
        std::string::npos);
  CHECK(message([](NetworkSpec& s) { s.conv.resize(65, s.conv[0]); }).find("65") !=
        std::string::npos);
  CHECK(message([](NetworkSpec& s) {
          s.inputs = 1 << 20;
          s.image = {1 << 10, 1 << 10, 1};
          s.conv[0].filters = 1 << 14;
        }).find("2^26") != std::string::npos);
  CHECK(message([](NetworkSpec& s) {
          s.conv[0].filters = s.conv[1].filters = 1 << 14;
        }).find("2^30") != std::string::npos);
}

TEST_CASE("a network with much behind its convolutions computes fewer rows at once") {
  CHECK(rows_at_once({8, 2, {}}) == 1024);
  CHECK(rows_at_once(conv_spec()) == 1024);
  NetworkSpec spec = conv_spec();
  spec.inputs = 512 * 512;
  spec.image = {512, 512, 1};
  spec.conv[0].filters = 32;
  CHECK(rows_at_once(spec) == 1);
}
