// Products of f32 operands in a lower precision: operands lose bits, sums do not.
#include "kernels/check/check.hpp"

#include <cmath>

namespace mlp::kernels::check {

namespace {

void check_product(Device& device, Report& report, double tolerance) {
  Draw draw(23);
  const MatmulSpec s{.m = 72, .n = 136, .k = 200, .transpose_b = true, .bias = true};
  const Floats a = draw.floats(s.m * s.k);
  const Floats b = draw.floats(s.n * s.k);
  const Floats bias = draw.floats(s.n);
  Doubles want;
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.n; ++j) {
      auto sum = static_cast<double>(bias[static_cast<std::size_t>(j)]);
      for (std::int64_t l = 0; l < s.k; ++l)
        sum += static_cast<double>(a[static_cast<std::size_t>(i * s.k + l)]) *
               static_cast<double>(b[static_cast<std::size_t>(j * s.k + l)]);
      want.push_back(sum);
    }
  const OnDevice on_a(device, a), on_b(device, b), on_bias(device, bias);
  const auto c = poisoned(device, s.m * s.n);
  const auto plan = device.plan(s);
  const Buffer workspace(device, plan->workspace_bytes());
  plan->run({}, on_a.get(), on_b.get(), on_bias.get(), c.get(), workspace.data());
  device.synchronize({});
  report.close("a product in lower precision", c.read(), want, tolerance,
               tolerance * std::sqrt(static_cast<double>(s.k)));
}

// A convolution by 1 gives what its operands were rounded to: the nearest, ties to even.
void check_rounding(Device& device, Report& report) {
  const float step = 0x1p-7F; // of bf16 above 1
  const Floats values{1.0F + 0.5F * step,   1.0F + 1.5F * step,
                      1.0F + 0.51F * step,  -3.0F,
                      -1.0F - 0.49F * step, 0x1p-30F * (1.0F + 0.25F * step)};
  const Floats rounded{1.0F, 1.0F + 2.0F * step, 1.0F + step, -3.0F, -1.0F, 0x1p-30F};
  const ConvSpec s{.in = {static_cast<std::int64_t>(values.size())}, .window = {.rank = 1}};
  const OnDevice x(device, values), w(device, Floats{1.0F});
  const auto y = poisoned(device, s.in[0]);
  const auto trained = device.plan_training(s);
  const Buffer room(device, trained->workspace_bytes());
  trained->forward({}, x.get(), w.get(), y.get(), room.data());
  device.synchronize({});
  report.equal("what bf16 rounds to in a trained convolution", y.read(), rounded);

  const auto plan = device.plan(s);
  const Buffer prepared(device, plan->prepared_bytes());
  const Buffer workspace(device, plan->workspace_bytes());
  const auto again = poisoned(device, s.in[0]);
  plan->prepare_weights({}, w.get(), prepared.data(), workspace.data());
  plan->run({}, x.get(), prepared.data(), nullptr, again.get(), workspace.data());
  device.synchronize({});
  report.equal("what bf16 rounds to in a convolution", again.read(), rounded);
}

} // namespace

void check_precision(Device& device, Report& report, Precision precision) {
  constexpr double kMostTerms = 64.0; // that a convolution of check_conv() adds up
  const double tolerance = precision == Precision::bf16 ? 8e-3 : 2e-3;
  if (precision == Precision::bf16) check_rounding(device, report);
  check_product(device, report, tolerance);
  check_conv(device, report, {tolerance, tolerance * std::sqrt(kMostTerms)});
  check_conv_training(device, report, tolerance);
}

} // namespace mlp::kernels::check
