// For tests: small images with a stripe across or down, or none: what a convolution learns at once.
#pragma once

#include "core/train/fit.hpp"
#include "kernels/philox.hpp"

#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace mlp::train {

// The class is the stripe's direction; the first 3/5 of the rows train, a fifth each validates and
// tests.
struct Stripes {
  static constexpr std::int64_t kHeight = 8, kWidth = 7;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels, order;
  float mean = 60.0F, scale = 1.0F / 60.0F;
  Dataset data;

  Stripes(const Stripes&) = delete; // the spans view this object
  Stripes& operator=(const Stripes&) = delete;
  explicit Stripes(std::int64_t rows) {
    kernels::PhiloxSequence random(3, 4);
    for (std::int64_t i = 0; i < rows; ++i) {
      const auto label = static_cast<std::int32_t>(random.below(3));
      const auto at = static_cast<std::int64_t>(random.below(7));
      for (std::int64_t y = 0; y < kHeight; ++y)
        for (std::int64_t x = 0; x < kWidth; ++x) {
          const bool bright = (label == 0 && y == at) || (label == 1 && x == at);
          pixels.push_back(static_cast<std::uint8_t>((bright ? 130 : 0) + random.below(100)));
        }
      labels.push_back(label);
    }
    order.resize(static_cast<std::size_t>(rows));
    std::iota(order.begin(), order.end(), 0);
    const std::span<const std::int32_t> all = order;
    data.rows = rows;
    data.inputs = kHeight * kWidth;
    data.image = {kHeight, kWidth, 1};
    data.pixels = pixels;
    data.mean = {&mean, 1};
    data.scale = {&scale, 1};
    data.outputs = 3;
    data.labels = labels;
    const std::size_t fifth = all.size() / 5;
    data.train = all.first(all.size() - 2 * fifth);
    data.validation = all.subspan(data.train.size(), fifth);
    data.test = all.last(fifth);
  }
};

} // namespace mlp::train
