// The same inputs on a device of the same kind and threads give the same bits, also while another
// thread keeps the device busy.
#include "kernels/check/check.hpp"

#include <atomic>
#include <thread>

namespace mlp::kernels::check {

namespace {

Floats product(Device& device, std::uint64_t seed) {
  Draw draw(seed);
  const MatmulSpec s{.m = 128, .n = 200, .k = 333, .transpose_b = true};
  const OnDevice a(device, draw.floats(s.m * s.k)), b(device, draw.floats(s.n * s.k));
  const auto c = poisoned(device, s.m * s.n);
  const auto plan = device.plan(s);
  const Buffer workspace(device, plan->workspace_bytes());
  plan->run({}, a.get(), b.get(), nullptr, c.get(), workspace.data());
  device.softmax({}, s.m, s.n, c.get(), c.get());
  device.synchronize({});
  return c.read();
}

// The gradient of a convolution's weights: a sum over the batch.
Floats gradient(Device& device, std::uint64_t seed) {
  Draw draw(seed);
  const ConvSpec s{.batch = 11,
                   .channels = 6,
                   .out_channels = 8,
                   .in = {12, 12},
                   .window = {.rank = 2, .kernel = {3, 3}, .pad_begin = {1, 1}, .pad_end = {1, 1}}};
  const std::int64_t pixels = s.batch * s.in[0] * s.in[1];
  const OnDevice x(device, draw.floats(pixels * s.channels));
  const OnDevice dy(device, draw.floats(pixels * s.out_channels));
  const auto dw = poisoned(device, s.out_channels * s.channels * 9);
  const auto plan = device.plan_training(s);
  const Buffer workspace(device, plan->workspace_bytes());
  plan->backward_weights({}, x.get(), dy.get(), dw.get(), workspace.data());
  device.synchronize({});
  return dw.read();
}

} // namespace

void check_repeatable(Device& first, Device& second, Report& report) {
  const Floats want = product(first, 4);
  report.equal("the same bits on a second device", product(second, 4), want);
  const Floats slope = gradient(first, 5);
  report.equal("the same gradient on a second device", gradient(second, 5), slope);
  std::atomic<int> differing = 0;
  const auto work = [&] {
    for (int i = 0; i < 20; ++i)
      if (product(first, 4) != want || gradient(first, 5) != slope) ++differing;
  };
  {
    const std::jthread one(work);
    const std::jthread two(work);
    const std::jthread three(work);
  }
  report.expect("the same bits from three threads at once", differing == 0);
}

} // namespace mlp::kernels::check
