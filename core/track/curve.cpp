// Joining of stretches keeps the order in which the least and the greatest came.
#include "core/track/curve.hpp"

#include <algorithm>
#include <cmath>

namespace mlp::track {

namespace {

constexpr std::size_t fewest = 16;

} // namespace

Curve::Curve(std::size_t limit) : limit_(std::max(limit, fewest)) {}

void Curve::join(Stretch& to, const Stretch& next) {
  const bool lesser = next.least.y < to.least.y;
  const bool greater = next.greatest.y > to.greatest.y;
  if (lesser && greater)
    to.least_first = next.least_first;
  else if (lesser || greater)
    to.least_first = greater;
  if (lesser) to.least = next.least;
  if (greater) to.greatest = next.greatest;
}

void Curve::halve() {
  const bool odd = stretches_.size() % 2 != 0;
  for (std::size_t i = 0; i + 1 < stretches_.size(); i += 2) {
    stretches_[i / 2] = stretches_[i];
    join(stretches_[i / 2], stretches_[i + 1]);
  }
  if (odd) stretches_[stretches_.size() / 2] = stretches_.back();
  stretches_.resize((stretches_.size() + 1) / 2);
  if (!odd) open_ += length_; // the one before it was full
  length_ *= 2;
}

void Curve::add(ChartPoint point) {
  if (!std::isfinite(point.x) || !std::isfinite(point.y)) return;
  newest_ = point;
  ++added_;
  const Stretch alone{point, point, true};
  if (stretches_.size() >= limit_ && open_ == length_) halve();
  if (!stretches_.empty() && open_ < length_) {
    join(stretches_.back(), alone);
    ++open_;
    return;
  }
  stretches_.push_back(alone);
  open_ = 1;
}

void Curve::set_limit(std::size_t limit) {
  limit_ = std::max(limit, fewest);
  while (stretches_.size() > limit_)
    halve();
}

std::vector<ChartPoint> Curve::points() const {
  std::vector<ChartPoint> out;
  out.reserve(2 * stretches_.size() + 1);
  for (const Stretch& stretch : stretches_) {
    out.push_back(stretch.least_first ? stretch.least : stretch.greatest);
    const ChartPoint& other = stretch.least_first ? stretch.greatest : stretch.least;
    if (other != out.back()) out.push_back(other);
  }
  if (!out.empty() && newest_ != out.back()) out.push_back(newest_);
  return out;
}

} // namespace mlp::track
