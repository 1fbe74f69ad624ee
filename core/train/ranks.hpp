// What a training does together with other ranks: each takes its share of every batch, and all keep
// the same weights. Without others (`collective` is null) everything here is free of cost.
#pragma once

#include "core/train/fit.hpp"
#include "kernels/collective/collective.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace mlp::train {

// Rows of a batch, counted from its first one.
struct Share {
  std::int64_t first = 0, rows = 0;
};
// The contiguous share of rank `rank` of `size` in a batch; shares differ by one row at most, and
// may be empty where the batch has fewer rows than there are ranks.
[[nodiscard]] Share share_of(std::int64_t rows, int rank, int size) noexcept;

// Not thread-safe. Methods that talk to other ranks are called by all of them at the same point;
// they throw kernels::Error if one is lost.
class Ranks {
 public:
  Ranks(const FitSpec& spec, const Dataset& data);

  [[nodiscard]] bool several() const noexcept { return collective_ != nullptr; }
  [[nodiscard]] bool first() const noexcept { return rank_ == 0; }
  [[nodiscard]] int size() const noexcept { return size_; }
  [[nodiscard]] kernels::Collective* collective() const noexcept { return collective_; }
  [[nodiscard]] Share share(std::int64_t rows) const noexcept {
    return share_of(rows, rank_, size_);
  }
  // This rank's key of the dropout's random sequence.
  [[nodiscard]] std::uint64_t dropout_key(std::uint64_t seed) const noexcept;
  // What this rank's gradient, that of the mean over its share weighted by class, has to be
  // multiplied by before the sum over ranks is the gradient of the mean over the whole batch.
  [[nodiscard]] float gradient_scale(std::span<const std::int32_t> batch_rows) const noexcept;

  // A point at which all agree: whether to stop (any rank was asked to) and whether to save (rank 0
  // says); the sum of what they have counted; and in how many steps to meet again.
  struct Meeting {
    bool stop = false, save = false;
    kernels::LossStats stats;
    std::int64_t steps_to_next = 1;
  };
  [[nodiscard]] Meeting meet(const Meeting& mine);

  // In place: the mean over ranks; the same bits everywhere.
  void average(std::span<float> values);
  // In place on the others: rank 0's values, whose number may differ.
  void spread(std::vector<float>& values);
  template <class T>
  void spread(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (several()) collective_->broadcast(&value, sizeof value, 0);
  }
  // Throws mlp::Error{integrity} on all ranks, naming those that differ, if the values are not the
  // same everywhere.
  void require_same(std::span<const float> values, std::int64_t epoch);

 private:
  kernels::Collective* collective_;
  int rank_ = 0, size_ = 1;
  const FitSpec& spec_;
  const Dataset& data_;
};

} // namespace mlp::train
