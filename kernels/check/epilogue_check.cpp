// The fused end of a dense layer: bias, activation, dropout; forward and backward, in place or not.
#include "kernels/check/check.hpp"

#include <cmath>

namespace mlp::kernels::check {

namespace {

constexpr StepState kState{
    .step = 5'000'000'123, .seed = 0x1234567890abcdef, .first_row = 0, .learning_rate = 0.0F};

// As device.hpp defines it.
double multiplier(const EpilogueSpec& s, std::int64_t i) {
  if (s.dropout == 0.0F) return 1.0;
  const PhiloxBlock words =
      philox({static_cast<std::uint32_t>(i / 4), s.layer, static_cast<std::uint32_t>(kState.step),
              static_cast<std::uint32_t>(kState.step >> 32)},
             kState.seed);
  const bool kept = static_cast<double>(words[static_cast<std::size_t>(i % 4)]) >=
                    std::round(static_cast<double>(s.dropout) * 0x1p32);
  return kept ? 1.0 / (1.0 - static_cast<double>(s.dropout)) : 0.0;
}

void run(Device& device, Report& report, const EpilogueSpec& s, bool with_bias) {
  Draw draw(static_cast<std::uint64_t>(s.rows + s.cols));
  const std::int64_t size = s.rows * s.cols;
  const Floats z = draw.floats(size, -3.0F, 3.0F);
  const Floats bias = draw.floats(s.cols);
  const Floats dy = draw.floats(size);
  Doubles y_want;
  Doubles dz_want;
  Doubles dbias_want(static_cast<std::size_t>(s.cols));
  for (std::int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto column = static_cast<std::size_t>(i % s.cols);
    // The sum is rounded to float32 before the activation, as in the operation.
    const float biased = with_bias ? z[at] + bias[column] : z[at];
    const double factor = multiplier(s, i);
    y_want.push_back(factor * reference_activation(s.activation, static_cast<double>(biased)));
    dz_want.push_back(factor * static_cast<double>(dy[at]) *
                      reference_slope(s.activation, static_cast<double>(biased)));
    dbias_want[column] += dz_want.back();
  }
  const std::string name = "epilogue " + std::to_string(static_cast<int>(s.activation)) + " " +
                           std::to_string(s.rows) + "x" + std::to_string(s.cols);
  const OnDevice state(device, std::vector<StepState>{kState});
  const OnDevice d_bias(device, bias), d_dy(device, dy);
  const bool in_place = s.activation != Activation::gelu;
  const OnDevice dz_in(device, z);
  const auto apart = poisoned(device, size);
  float* y = in_place ? dz_in.get() : apart.get();
  device.epilogue({}, s, state.get(), with_bias ? d_bias.get() : nullptr, dz_in.get(), y);
  device.synchronize({});
  report.close(name, in_place ? dz_in.read() : apart.read(), y_want, 1e-5,
               1e-6 / (1.0 - static_cast<double>(s.dropout)));
  const auto dbias = poisoned(device, s.cols);
  device.epilogue_backward({}, s, state.get(), dz_in.get(), y, d_dy.get(), d_dy.get(), dbias.get());
  device.synchronize({});
  report.close(name + " backward", d_dy.read(), dz_want, 2e-5, 4e-6);
  report.close(name + " bias", dbias.read(), dbias_want, 1e-4, 1e-4);
}

} // namespace

void check_epilogue(Device& device, Report& report) {
  for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu,
                                      Activation::tanh, Activation::sigmoid})
    for (const float dropout : {0.0F, 0.3F, 0.9F})
      for (const bool bias : {false, true}) {
        const EpilogueSpec s{
            .rows = 1, .cols = 1, .activation = activation, .dropout = dropout, .layer = 2};
        const std::int64_t shapes[][2] = {{1, 1}, {3, 5}, {128, 256}, {301, 67}};
        for (const auto& [rows, cols] : shapes) {
          EpilogueSpec at = s;
          at.rows = rows;
          at.cols = cols;
          run(device, report, at, bias);
        }
      }
  report.refuses("a dropout of 1", ErrorKind::invalid, [&] {
    const OnDevice z(device, Floats(4));
    device.epilogue({}, {.rows = 2, .cols = 2, .dropout = 1.0F}, nullptr, nullptr, z.get(),
                    z.get());
  });
}

} // namespace mlp::kernels::check
