// AdamW and SGD over three steps, with and without decay, against float64.
#include "kernels/check/check.hpp"

#include <cmath>

namespace mlp::kernels::check {

namespace {

constexpr std::int64_t kSize = 40'000;
constexpr std::int64_t kDecayed = 30'001;

double decay_of(std::int64_t i, float decay) {
  return i < kDecayed ? static_cast<double>(decay) : 0.0;
}

void adamw(Device& device, Report& report) {
  const AdamWSpec s{.size = kSize, .decayed = kDecayed, .weight_decay = 0.1F};
  Draw draw(1);
  const Floats start = draw.floats(kSize);
  const OnDevice params(device, start);
  const OnDevice first(device, Floats(kSize)), second(device, Floats(kSize));
  Doubles w(start.begin(), start.end());
  Doubles m(kSize), v(kSize);
  for (std::uint64_t t = 1; t <= 3; ++t) {
    const Floats g = draw.floats(kSize);
    const float lr = 0.01F * static_cast<float>(t);
    const OnDevice state(device, std::vector<StepState>{{.step = t, .learning_rate = lr}});
    const OnDevice grads(device, g);
    device.adamw({}, s, state.get(), params.get(), grads.get(), first.get(), second.get());
    device.synchronize({});
    for (std::int64_t i = 0; i < kSize; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto b1 = static_cast<double>(s.beta1);
      const auto b2 = static_cast<double>(s.beta2);
      const auto grad = static_cast<double>(g[at]);
      const auto rate = static_cast<double>(lr);
      m[at] = b1 * m[at] + (1.0 - b1) * grad;
      v[at] = b2 * v[at] + (1.0 - b2) * grad * grad;
      const double mean = m[at] / (1.0 - std::pow(b1, static_cast<double>(t)));
      const double square = v[at] / (1.0 - std::pow(b2, static_cast<double>(t)));
      w[at] -= rate * decay_of(i, s.weight_decay) * w[at];
      w[at] -= rate * mean / (std::sqrt(square) + static_cast<double>(s.epsilon));
    }
  }
  report.close("adamw", params.read(), w, 1e-5, 1e-5);
  if (!device.reads_host_memory()) return; // a GPU's state cannot be looked into
  report.refuses("adamw at step 0", ErrorKind::invalid, [&] {
    const OnDevice state(device, std::vector<StepState>{{.step = 0}});
    device.adamw({}, s, state.get(), params.get(), first.get(), first.get(), second.get());
  });
}

void sgd(Device& device, Report& report, bool nesterov) {
  const SgdSpec s{.size = kSize,
                  .decayed = kDecayed,
                  .momentum = 0.8F,
                  .weight_decay = 0.1F,
                  .nesterov = nesterov};
  Draw draw(2);
  const Floats start = draw.floats(kSize);
  const OnDevice params(device, start), velocity(device, Floats(kSize));
  Doubles w(start.begin(), start.end());
  Doubles v(kSize);
  for (int step = 0; step < 3; ++step) {
    const Floats g = draw.floats(kSize);
    const OnDevice state(device, std::vector<StepState>{{.learning_rate = 0.05F}});
    const OnDevice grads(device, g);
    device.sgd({}, s, state.get(), params.get(), grads.get(), velocity.get());
    device.synchronize({});
    for (std::int64_t i = 0; i < kSize; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto momentum = static_cast<double>(s.momentum);
      const double grad = static_cast<double>(g[at]) + decay_of(i, s.weight_decay) * w[at];
      v[at] = momentum * v[at] + grad;
      w[at] -= static_cast<double>(0.05F) * (nesterov ? grad + momentum * v[at] : v[at]);
    }
  }
  report.close(nesterov ? "sgd, nesterov" : "sgd", params.read(), w, 1e-5, 1e-5);
}

} // namespace

void check_optimizer(Device& device, Report& report) {
  adamw(device, report);
  sgd(device, report, false);
  sgd(device, report, true);
}

} // namespace mlp::kernels::check
