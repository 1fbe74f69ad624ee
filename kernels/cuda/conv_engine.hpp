// What cuDNN does of a convolution: one direction, between operands that lie as it takes them. How
// they get there and back is conv.cpp's and conv_training.cpp's, see staging.hpp.
#pragma once

#include "kernels/cuda/plans.hpp"

namespace mlp::kernels::cuda {

enum class Direction : std::uint8_t { forward, data, weights };

// Of the spec's type; x and y with channels first or last, w[out_channels, channels / groups,
// kernel...] or w[out_channels, kernel..., channels / groups]. The one that the direction computes
// is written.
struct Operands {
  void *x, *w, *y;
};

class ConvEngine {
 public:
  virtual ~ConvEngine() = default;
  virtual std::size_t workspace_bytes() const noexcept = 0;
  virtual void run(const Queue& q, const Operands& operands, void* workspace) const = 0;
};

// Pads have to be the same at both ends of an axis; bias and activation are left out. Products of
// f32 operands are as context.precision says, but for bf16: then the caller gives bf16 operands.
// Null: there is no deterministic algorithm for these sizes in this order of axes.
std::unique_ptr<ConvEngine> make_conv_engine(const Context& context,
                                             std::shared_ptr<ConvLibrary> library,
                                             const ConvSpec& spec, Direction direction,
                                             bool channels_last);

} // namespace mlp::kernels::cuda
