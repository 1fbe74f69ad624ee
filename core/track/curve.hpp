// A curve that grows without end, in bounded memory: stretches of equally many points, of each the
// least and the greatest, so that no spike gets lost. Full, neighbours are joined: the stretches
// are then twice as long, all of them.
#pragma once

#include "core/track/chart.hpp"

#include <cstddef>
#include <vector>

namespace mlp::track {

// Not thread-safe.
class Curve {
 public:
  // At most `limit` (at least 16) stretches are kept, of two points each.
  explicit Curve(std::size_t limit);

  // A point whose x or y is not finite is left out.
  void add(ChartPoint point);
  // Joins stretches until there are no more than `limit` (at least 16).
  void set_limit(std::size_t limit);

  // In the order they came: all of them while they fit; the newest is always among them.
  [[nodiscard]] std::vector<ChartPoint> points() const;
  [[nodiscard]] std::size_t size() const noexcept { return added_; } // points added

 private:
  struct Stretch {
    ChartPoint least, greatest;
    bool least_first = true;
  };
  static void join(Stretch& to, const Stretch& next);
  void halve();

  std::size_t limit_;
  std::size_t length_ = 1; // points in a stretch
  std::size_t open_ = 0;   // points in the last stretch
  std::size_t added_ = 0;
  ChartPoint newest_;
  std::vector<Stretch> stretches_;
};

} // namespace mlp::track
