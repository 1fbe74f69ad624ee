// Optimisers and the learning rate's schedule, as plain settings and a pure function.
#pragma once

#include <cstdint>

namespace mlp::train {

enum class OptimizerKind { sgd, adamw };

struct Optimizer {
  OptimizerKind kind = OptimizerKind::adamw;
  float learning_rate = 1e-3F;
  float weight_decay = 0.01F; // of weights; biases and normalisations are not decayed
  float momentum = 0.9F;      // sgd
  bool nesterov = false;      // sgd
  float beta1 = 0.9F, beta2 = 0.999F, epsilon = 1e-8F; // adamw
  bool operator==(const Optimizer&) const = default;
};

enum class ScheduleKind { constant, cosine };

struct Schedule {
  ScheduleKind kind = ScheduleKind::cosine;
  float warmup = 0.05F;      // share of all steps with a linear rise from 0, in [0, 1)
  float final_factor = 0.0F; // cosine ends at learning_rate * final_factor
  bool operator==(const Schedule&) const = default;
};

// Factor of the learning rate at `step` (from 1) of `total` steps. Rises linearly over the
// warm-up's steps (reaching 1 at its last), then stays or falls along half a cosine (Loshchilov &
// Hutter 2017) to final_factor at the last step.
[[nodiscard]] float learning_rate_factor(const Schedule& schedule, std::int64_t step,
                                         std::int64_t total) noexcept;

} // namespace mlp::train
