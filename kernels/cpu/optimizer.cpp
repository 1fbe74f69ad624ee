// AdamW and SGD over one flat buffer: each element is read and written once a step.
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/ops.hpp"

#include <cmath>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 13; // elements that are worth a thread

struct AdamStep {
  float beta1, beta2, epsilon;
  float step;      // lr / (1 - beta1^t)
  float inv_bias2; // 1 / (1 - beta2^t)
};

MLP_INLINE void adamw_range_body(std::int64_t n, AdamStep s, float shrink, float* __restrict params,
                                 const float* __restrict grads, float* __restrict first,
                                 float* __restrict second) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = grads[i];
    const float m = s.beta1 * first[i] + (1.0F - s.beta1) * g;
    const float v = s.beta2 * second[i] + (1.0F - s.beta2) * g * g;
    first[i] = m;
    second[i] = v;
    params[i] = params[i] * shrink - s.step * m / (__builtin_sqrtf(v * s.inv_bias2) + s.epsilon);
  }
}
MLP_KERNEL(adamw_range,
           (std::int64_t n, AdamStep s, float shrink, float* params, const float* grads,
            float* first, float* second),
           (n, s, shrink, params, grads, first, second))

MLP_INLINE void sgd_range_body(std::int64_t n, float lr, float momentum, float decay, bool nesterov,
                               float* __restrict params, const float* __restrict grads,
                               float* __restrict velocity) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = grads[i] + decay * params[i];
    const float v = momentum * velocity[i] + g;
    velocity[i] = v;
    params[i] -= lr * (nesterov ? g + momentum * v : v);
  }
}
MLP_KERNEL(sgd_range,
           (std::int64_t n, float lr, float momentum, float decay, bool nesterov, float* params,
            const float* grads, float* velocity),
           (n, lr, momentum, decay, nesterov, params, grads, velocity))

// body(begin, end, is decayed): a part may lie on both sides of the border.
template <class Body>
void over_parameters(ThreadPool& pool, std::int64_t size, std::int64_t decayed, const Body& body) {
  pool.split(size, 1024, kLeast, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t border = std::min(std::max(decayed, begin), end);
    if (begin < border) body(begin, border, true);
    if (border < end) body(border, end, false);
  });
}

} // namespace

void adamw(ThreadPool& pool, const AdamWSpec& spec, const StepState& state, float* params,
           const float* grads, float* first, float* second) {
  const auto t = static_cast<double>(state.step);
  const auto lr = static_cast<double>(state.learning_rate);
  const AdamStep step{
      .beta1 = spec.beta1,
      .beta2 = spec.beta2,
      .epsilon = spec.epsilon,
      .step = static_cast<float>(lr / (1.0 - std::pow(static_cast<double>(spec.beta1), t))),
      .inv_bias2 = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(spec.beta2), t)))};
  const float shrink = static_cast<float>(1.0 - lr * static_cast<double>(spec.weight_decay));
  over_parameters(pool, spec.size, spec.decayed,
                  [&](std::int64_t begin, std::int64_t end, bool decayed) {
                    adamw_range(end - begin, step, decayed ? shrink : 1.0F, params + begin,
                                grads + begin, first + begin, second + begin);
                  });
}

void sgd(ThreadPool& pool, const SgdSpec& spec, const StepState& state, float* params,
         const float* grads, float* velocity) {
  over_parameters(pool, spec.size, spec.decayed,
                  [&](std::int64_t begin, std::int64_t end, bool decayed) {
                    sgd_range(end - begin, state.learning_rate, spec.momentum,
                              decayed ? spec.weight_decay : 0.0F, spec.nesterov, params + begin,
                              grads + begin, velocity + begin);
                  });
}

} // namespace mlp::kernels::cpu
