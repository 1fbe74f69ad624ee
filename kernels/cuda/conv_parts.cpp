// Convolutions of more elements than cuDNN takes in a tensor (2^31 - 1): images one part after
// another, parts of one size but for the last.
#include "kernels/cuda/conv_engine.hpp"

#include <algorithm>

namespace mlp::kernels::cuda {

namespace {

struct Images { // elements of one
  std::int64_t x, y;
};
Images images_of(const ConvSpec& spec) {
  Images images{spec.channels, spec.out_channels};
  for (int axis = 0; axis < spec.window.rank; ++axis) {
    images.x *= spec.in[axis];
    images.y *= output_size(spec.window, axis, spec.in[axis]);
  }
  return images;
}

class Parts final : public ConvEngine {
 public:
  Parts(const ConvSpec& spec, Direction direction, std::int64_t part,
        std::unique_ptr<ConvEngine> engine, std::unique_ptr<ConvEngine> last)
      : direction_(direction), batch_(spec.batch), part_(part), images_(images_of(spec)),
        element_(static_cast<std::int64_t>(size_of(spec.dtype))), engine_(std::move(engine)),
        last_(std::move(last)) {}

  std::size_t workspace_bytes() const noexcept override {
    return std::max(engine_->workspace_bytes(), last_->workspace_bytes());
  }

  void run(const Queue& q, const Operands& operands, void* workspace) const override {
    for (std::int64_t first = 0; first < batch_; first += part_) {
      const ConvEngine& engine = first + part_ < batch_ ? *engine_ : *last_;
      engine.run(q,
                 {.x = static_cast<std::byte*>(operands.x) + first * images_.x * element_,
                  .w = operands.w,
                  .y = static_cast<std::byte*>(operands.y) + first * images_.y * element_,
                  .add = direction_ == Direction::weights && first > 0},
                 workspace);
    }
  }

 private:
  Direction direction_;
  std::int64_t batch_, part_;
  Images images_;
  std::int64_t element_; // bytes
  std::unique_ptr<ConvEngine> engine_, last_;
};

} // namespace

std::unique_ptr<ConvEngine> make_batch_engine(const Context& context,
                                              const std::shared_ptr<ConvLibrary>& library,
                                              const ConvSpec& spec, Direction direction, Way way) {
  const Images images = images_of(spec);
  // What is wrong with an image that is too large itself, cuDNN says.
  const std::int64_t most =
      std::max<std::int64_t>(most_elements() / std::max(images.x, images.y), 1);
  if (spec.batch <= most) return make_conv_engine(context, library, spec, direction, way);
  const std::int64_t parts = (spec.batch + most - 1) / most;
  const std::int64_t part = (spec.batch + parts - 1) / parts;
  const auto engine_of = [&](std::int64_t batch) {
    ConvSpec some = spec;
    some.batch = batch;
    return make_conv_engine(context, library, some, direction, way);
  };
  auto engine = engine_of(part);
  auto last = engine_of(spec.batch - (spec.batch - 1) / part * part);
  if (engine == nullptr || last == nullptr) return nullptr;
  return std::make_unique<Parts>(spec, direction, part, std::move(engine), std::move(last));
}

} // namespace mlp::kernels::cuda
