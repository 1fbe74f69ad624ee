// When to stop, and which epoch was the best: a metric that should rise, and patience.
#pragma once

#include <cstdint>
#include <limits>

namespace mlp::train {

struct EarlyStopping {
  std::int64_t patience = 0; // 0: never stops
  double min_delta = 0.0;

  double best = -std::numeric_limits<double>::infinity();
  std::int64_t best_epoch = 0;                                 // 0: none yet
  double reference = -std::numeric_limits<double>::infinity(); // what an improvement has to beat
  std::int64_t reference_epoch = 0;

  // True if `epoch` is the best so far. A metric that is not a number is never the best.
  bool update(double metric, std::int64_t epoch) noexcept {
    if (reference_epoch == 0 || metric > reference + min_delta) {
      reference = metric;
      reference_epoch = epoch;
    }
    if (!(metric > best)) return false;
    best = metric;
    best_epoch = epoch;
    return true;
  }
  [[nodiscard]] bool should_stop(std::int64_t epoch) const noexcept {
    return patience > 0 && reference_epoch > 0 && epoch - reference_epoch >= patience;
  }
};

} // namespace mlp::train
