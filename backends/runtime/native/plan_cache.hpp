// Plans of a Device by the shape they are for, kept with a node. A request may choose its batch
// size, so that what is kept is bounded; the plan used longest ago goes first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace mlp::native {

// Thread-safe. `make` runs under the lock: two threads do not make the same plan.
template <class Key, class Plan>
class PlanCache {
 public:
  template <class Make>
  std::shared_ptr<const Plan> get(const Key& key, Make&& make) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < plans_.size(); ++i)
      if (plans_[i].first == key) {
        std::rotate(plans_.begin(), plans_.begin() + static_cast<std::ptrdiff_t>(i),
                    plans_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        return plans_.front().second;
      }
    std::shared_ptr<const Plan> plan = make();
    if (plans_.size() == kMost) plans_.pop_back();
    plans_.insert(plans_.begin(), {key, plan});
    return plan;
  }

 private:
  static constexpr std::size_t kMost = 8;
  std::mutex mutex_;
  std::vector<std::pair<Key, std::shared_ptr<const Plan>>> plans_; // most recent first
};

} // namespace mlp::native
