// What cuDNN does of a convolution: one direction, between operands that lie as it takes them. How
// they get there and back is conv.cpp's and conv_training.cpp's, see staging.hpp.
#pragma once

#include "kernels/cuda/plans.hpp"

namespace mlp::kernels::cuda {

enum class Direction : std::uint8_t { forward, data, weights };

// Of the spec's type; x and y with channels first or last, w[out_channels, channels / groups,
// kernel...] or w[out_channels, kernel..., channels / groups]. The one that the direction computes
// is written, or with `add` (weights alone) added to.
struct Operands {
  void *x, *w, *y;
  bool add = false;
};

class ConvEngine {
 public:
  virtual ~ConvEngine() = default;
  virtual std::size_t workspace_bytes() const noexcept = 0;
  virtual void run(const Queue& q, const Operands& operands, void* workspace) const = 0;
};

// Where an engine is looked for. The last resort is one algorithm that does most sizes, which is
// slow; else it is what cuDNN's heuristic names.
struct Way {
  bool channels_last = false;
  bool last_resort = false;
};

// What the library takes in one tensor.
std::int64_t most_elements() noexcept;

// Pads have to be the same at both ends of an axis; bias and activation are left out. Products of
// f32 operands are as context.precision says, but for bf16: then the caller gives bf16 operands.
// Null: there is no deterministic algorithm for these sizes on this way.
std::unique_ptr<ConvEngine> make_conv_engine(const Context& context,
                                             std::shared_ptr<ConvLibrary> library,
                                             const ConvSpec& spec, Direction direction, Way way);

// The same for batches of more than most_elements(), in conv_parts.cpp.
std::unique_ptr<ConvEngine> make_batch_engine(const Context& context,
                                              const std::shared_ptr<ConvLibrary>& library,
                                              const ConvSpec& spec, Direction direction, Way way);

} // namespace mlp::kernels::cuda
