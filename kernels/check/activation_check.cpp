// Activations and their slopes over the whole range, against libm in float64.
#include "kernels/check/check.hpp"

#include <cmath>
#include <numbers>

namespace mlp::kernels::check {

double reference_activation(Activation kind, double x) {
  switch (kind) {
  case Activation::none:
    return x;
  case Activation::relu:
    return x < 0.0 ? 0.0 : x;
  case Activation::gelu:
    return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
  case Activation::tanh:
    return std::tanh(x);
  case Activation::sigmoid:
    return 1.0 / (1.0 + std::exp(-x));
  }
  return x;
}

double reference_slope(Activation kind, double x) {
  const double y = reference_activation(kind, x);
  switch (kind) {
  case Activation::none:
    return 1.0;
  case Activation::relu:
    return x > 0.0 ? 1.0 : 0.0;
  case Activation::gelu:
    return 0.5 * (1.0 + std::erf(x / std::numbers::sqrt2)) +
           x * std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
  case Activation::tanh:
    return 1.0 - y * y;
  case Activation::sigmoid:
    return y * (1.0 - y);
  }
  return 1.0;
}

void check_activation(Device& device, Report& report) {
  constexpr Activation kKinds[] = {Activation::none, Activation::relu, Activation::gelu,
                                   Activation::tanh, Activation::sigmoid};
  for (const Activation kind : kKinds) {
    for (const std::int64_t size : {1, 7, 1000, 70001}) {
      Draw draw(static_cast<std::uint64_t>(size));
      const float reach = size == 1000 ? 100.0F : 4.0F;
      const Floats x = draw.floats(size, -reach, reach);
      const Floats dy = draw.floats(size);
      Doubles y_want;
      Doubles dx_want;
      for (std::size_t i = 0; i < x.size(); ++i) {
        y_want.push_back(reference_activation(kind, static_cast<double>(x[i])));
        dx_want.push_back(static_cast<double>(dy[i]) *
                          reference_slope(kind, static_cast<double>(x[i])));
      }
      const OnDevice dx_in(device, x), d_dy(device, dy);
      const auto y = poisoned(device, size);
      const auto dx = poisoned(device, size);
      device.activation({}, kind, size, dx_in.get(), y.get());
      device.activation_backward({}, kind, size, kind == Activation::gelu ? dx_in.get() : y.get(),
                                 d_dy.get(), dx.get());
      device.synchronize({});
      const std::string name = "activation " + std::to_string(static_cast<int>(kind));
      report.close(name, y.read(), y_want, 3e-6, 6e-7);
      report.close(name + " backward", dx.read(), dx_want, 2e-5, 2e-6);
    }
    // Values that are no numbers, and the ends of the range, do not become numbers or NaN.
    const float inf = __builtin_inff();
    const OnDevice x(device, Floats{__builtin_nanf(""), inf, -inf, 0.0F, 1e30F, -1e30F});
    const auto y = poisoned(device, 6);
    device.activation({}, kind, 6, x.get(), y.get());
    device.synchronize({});
    const Floats got = y.read();
    report.expect("an activation of NaN", std::isnan(got[0]));
    report.expect("an activation of infinity",
                  static_cast<double>(got[1]) == reference_activation(kind, HUGE_VAL));
    report.expect("an activation of 1e30", std::isfinite(got[4]) && std::isfinite(got[5]));
  }
}

} // namespace mlp::kernels::check
