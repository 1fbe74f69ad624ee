// Multidirectional broadcasting (ONNX, "Broadcasting in ONNX"): axes that behave alike for all
// operands are merged, so that a sum of equal shapes is one loop, a bias one loop a row, a scalar
// one loop.
#pragma once

#include "backends/runtime/native/value.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace mlp::native {

// Throws Error(failed) naming both shapes if they do not fit.
[[nodiscard]] Dims broadcast_shape(const Dims& a, const Dims& b);

template <std::size_t N>
class Broadcast {
 public:
  // `shape` is what the operands broadcast to.
  Broadcast(const Dims& shape, const std::array<const Dims*, N>& operands) {
    count_ = shape.product(0, shape.size());
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis] == 1) continue;
      Axis next{shape[axis], {}};
      for (std::size_t k = 0; k < N; ++k)
        next.strides[k] = stride(*operands[k], shape.size(), axis);
      if (rank_ > 0 && continues(axes_[rank_ - 1], next)) {
        next.length *= axes_[rank_ - 1].length;
        axes_[rank_ - 1] = next;
      } else {
        axes_[rank_++] = next;
      }
    }
    if (rank_ == 0) axes_[rank_++] = Axis{1, {}};
  }

  // body(out, offsets, length, steps): elements [out, out + length) of the result come from
  // operand k's elements offsets[k], offsets[k] + steps[k], ...; a step is 0 or 1.
  template <class Body>
  void for_each_row(Body&& body) const {
    if (count_ == 0) return;
    const Axis& row = axes_[rank_ - 1];
    std::array<std::int64_t, N> offsets{};
    std::array<std::int64_t, kMaxRank> position{};
    for (std::int64_t out = 0; out < count_; out += row.length) {
      body(out, offsets, row.length, row.strides);
      for (std::size_t axis = rank_ - 1; axis-- > 0;) {
        for (std::size_t k = 0; k < N; ++k)
          offsets[k] += axes_[axis].strides[k];
        if (++position[axis] < axes_[axis].length) break;
        for (std::size_t k = 0; k < N; ++k)
          offsets[k] -= axes_[axis].strides[k] * axes_[axis].length;
        position[axis] = 0;
      }
    }
  }

 private:
  struct Axis {
    std::int64_t length = 1;
    std::array<std::int64_t, N> strides{};
  };

  static std::int64_t stride(const Dims& operand, std::size_t rank, std::size_t axis) {
    const std::size_t missing = rank - operand.size();
    if (axis < missing || operand[axis - missing] == 1) return 0;
    return operand.product(axis - missing + 1, operand.size());
  }

  static bool continues(const Axis& outer, const Axis& inner) {
    for (std::size_t k = 0; k < N; ++k)
      if (outer.strides[k] != inner.strides[k] * inner.length) return false;
    return true;
  }

  std::array<Axis, kMaxRank> axes_{};
  std::size_t rank_ = 0;
  std::int64_t count_ = 0;
};

} // namespace mlp::native
