// The learning rate of a step: warm-up, then the schedule.
#include "core/train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mlp::train {

float learning_rate_factor(const Schedule& schedule, std::int64_t step,
                           std::int64_t total) noexcept {
  if (total <= 0) return 1.0F;
  const auto warmup = static_cast<std::int64_t>(
      std::llround(static_cast<double>(schedule.warmup) * static_cast<double>(total)));
  step = std::clamp<std::int64_t>(step, 1, total);
  if (step <= warmup) return static_cast<float>(step) / static_cast<float>(warmup);
  if (schedule.kind == ScheduleKind::constant || total == warmup) return 1.0F;
  const double progress = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
  const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  const auto floor = static_cast<double>(schedule.final_factor);
  return static_cast<float>(floor + (1.0 - floor) * cosine);
}

} // namespace mlp::train
