// Convolutions for inference, channels first, on cuDNN; bias and activation, and what brings the
// input to the library, are kernels of ours.
#include "kernels/cuda/conv_engine.hpp"
#include "kernels/cuda/staging.hpp"
#include "kernels/cuda/streams.hpp"

namespace mlp::kernels::cuda {

namespace {

class Conv final : public ConvPlan {
 public:
  Conv(const Context& context, const std::shared_ptr<ConvLibrary>& library, const ConvSpec& spec)
      : context_(context), spec_(spec), type_(library_type(context, spec.dtype)),
        weights_(spec.out_channels * (spec.channels / spec.groups)) {
    for (int axis = 0; axis < spec.window.rank; ++axis) {
      pixels_ *= output_size(spec.window, axis, spec.in[axis]);
      weights_ *= spec.window.kernel[axis];
    }
    if (spec.batch == 0) return;
    StagingSpec x = padding_of(spec);
    x.planes = spec.batch * spec.channels;
    x.from = spec.dtype;
    x.to = type_;
    x_ = Staging(x);
    StagingSpec y;
    y.planes = spec.batch * spec.out_channels * pixels_;
    y.from = spec.dtype;
    y.to = type_;
    y_ = Staging(y);
    ConvSpec bare = even_pads(spec);
    bare.dtype = type_;
    engine_ = make_batch_engine(context, library, bare, Direction::forward, {});
    if (engine_ == nullptr)
      engine_ =
          make_batch_engine(context, library, bare, Direction::forward, {.last_resort = true});
    if (engine_ == nullptr)
      throw Error(ErrorKind::unsupported, "cuDNN has no algorithm for a convolution of this shape");
  }

  std::size_t workspace_bytes() const noexcept override {
    return x_.bytes() + y_.bytes() + (engine_ != nullptr ? engine_->workspace_bytes() : 0);
  }
  std::size_t prepared_bytes() const noexcept override {
    return static_cast<std::size_t>(weights_) * size_of(type_);
  }

  void prepare_weights(Stream stream, const void* w, void* prepared, void*) const override {
    use(context_.ordinal);
    const Queue& q = context_.streams->at(stream).queue();
    if (type_ != spec_.dtype)
      to_bf16(q, weights_, static_cast<const float*>(w), prepared);
    else
      cuda::check(
          cudaMemcpyAsync(prepared, w, prepared_bytes(), cudaMemcpyDeviceToDevice, q.stream),
          "copy a convolution's weights");
  }

  void run(Stream stream, const void* x, const void* prepared, const void* bias, void* y,
           void* workspace) const override {
    if (spec_.batch == 0) return;
    use(context_.ordinal);
    const Queue& q = context_.streams->at(stream).queue();
    auto* room = static_cast<std::byte*>(workspace);
    std::byte* y_room = room + x_.bytes();
    x_.bring(q, x, room);
    engine_->run(q, {x_.place(x, room), const_cast<void*>(prepared), y_.place(y, y_room)},
                 y_room + y_.bytes());
    y_.fetch(q, y, y_room);
    const void* wanted = spec_.bias ? bias : nullptr;
    if (wanted != nullptr || spec_.activation != Activation::none)
      finish(q,
             {.dtype = spec_.dtype,
              .batch = 1,
              .rows = spec_.batch * spec_.out_channels,
              .cols = pixels_,
              .ld = pixels_,
              .stride = 0,
              .bias_period = spec_.out_channels,
              .scale = 1.0F,
              .activation = spec_.activation},
             wanted, y);
  }

 private:
  Context context_;
  ConvSpec spec_;
  DType type_; // of the library's operands
  std::int64_t pixels_ = 1, weights_;
  Staging x_, y_;
  std::unique_ptr<ConvEngine> engine_;
};

} // namespace

std::unique_ptr<ConvPlan> plan_conv(const Context& context, std::shared_ptr<ConvLibrary> library,
                                    const ConvSpec& spec) {
  return std::make_unique<Conv>(context, library, spec);
}

} // namespace mlp::kernels::cuda
