// The activations that the optimiser fuses, in the device's words.
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "kernels/device.hpp"

namespace mlp::native {

[[nodiscard]] constexpr kernels::Activation to_device(FusedActivation activation) noexcept {
  switch (activation) {
  case FusedActivation::none:
    return kernels::Activation::none;
  case FusedActivation::relu:
    return kernels::Activation::relu;
  case FusedActivation::gelu:
    return kernels::Activation::gelu;
  case FusedActivation::tanh:
    return kernels::Activation::tanh;
  case FusedActivation::sigmoid:
    return kernels::Activation::sigmoid;
  }
  return kernels::Activation::none;
}

} // namespace mlp::native
