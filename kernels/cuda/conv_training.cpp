// Convolutions that are trained, on cuDNN: channels last where its heuristic has a deterministic
// algorithm for that, else channels first with transpositions around it.
#include "kernels/cuda/conv_engine.hpp"
#include "kernels/cuda/staging.hpp"
#include "kernels/cuda/streams.hpp"

#include <algorithm>

namespace mlp::kernels::cuda {

namespace {

// One direction, with the ways of its operands.
class Pass {
 public:
  Pass(const Context& context, const std::shared_ptr<ConvLibrary>& library, const ConvSpec& spec,
       Direction direction)
      : direction_(direction) {
    ConvSpec even = even_pads(spec);
    even.dtype = library_type(context, DType::f32);
    // A good algorithm is worth transpositions, the last resort without them is not.
    bool channels_last = false;
    for (const Way way :
         {Way{.channels_last = true}, Way{}, Way{.channels_last = true, .last_resort = true},
          Way{.last_resort = true}}) {
      channels_last = way.channels_last;
      engine_ = make_batch_engine(context, library, even, direction, way);
      if (engine_ != nullptr) break;
    }
    if (engine_ == nullptr)
      throw Error(ErrorKind::unsupported,
                  "cuDNN has no deterministic algorithm to train a convolution of this shape");
    StagingSpec x = padding_of(spec);
    x.planes = spec.batch;
    x.inner = spec.channels;
    StagingSpec y;
    y.planes = spec.batch;
    y.inner = spec.out_channels;
    StagingSpec w;
    w.planes = spec.out_channels;
    w.inner = spec.channels / spec.groups;
    for (int axis = 0; axis < spec.window.rank; ++axis) {
      y.cells[axis] = y.padded[axis] = output_size(spec.window, axis, spec.in[axis]);
      w.cells[axis] = w.padded[axis] = spec.window.kernel[axis];
    }
    for (StagingSpec* s : {&x, &w, &y}) {
      s->to = even.dtype;
      s->transposed = !channels_last;
    }
    x_ = Staging(x);
    w_ = Staging(w);
    y_ = Staging(y);
  }

  std::size_t workspace_bytes() const noexcept {
    return x_.bytes() + w_.bytes() + y_.bytes() + engine_->workspace_bytes();
  }

  void run(const Queue& q, const float* x, const float* w, const float* y, void* workspace) const {
    auto* x_room = static_cast<std::byte*>(workspace);
    std::byte* w_room = x_room + x_.bytes();
    std::byte* y_room = w_room + w_.bytes();
    if (direction_ != Direction::data) x_.bring(q, x, x_room);
    if (direction_ != Direction::weights) w_.bring(q, w, w_room);
    if (direction_ != Direction::forward) y_.bring(q, y, y_room);
    engine_->run(q, {x_.place(x, x_room), w_.place(w, w_room), y_.place(y, y_room)},
                 y_room + y_.bytes());
    switch (direction_) {
    case Direction::forward:
      return y_.fetch(q, const_cast<float*>(y), y_room);
    case Direction::data:
      return x_.fetch(q, const_cast<float*>(x), x_room);
    case Direction::weights:
      return w_.fetch(q, const_cast<float*>(w), w_room);
    }
  }

 private:
  Direction direction_;
  std::unique_ptr<ConvEngine> engine_;
  Staging x_, w_, y_;
};

class ConvTraining final : public ConvTrainingPlan {
 public:
  ConvTraining(const Context& context, const std::shared_ptr<ConvLibrary>& library,
               const ConvSpec& spec)
      : context_(context), weights_(spec.out_channels * (spec.channels / spec.groups)) {
    for (int axis = 0; axis < spec.window.rank; ++axis)
      weights_ *= spec.window.kernel[axis];
    if (spec.batch == 0) return;
    const auto pass = [&](Direction direction) {
      return std::make_unique<const Pass>(context, library, spec, direction);
    };
    forward_ = pass(Direction::forward);
    data_ = pass(Direction::data);
    backward_weights_ = pass(Direction::weights);
  }

  std::size_t workspace_bytes() const noexcept override {
    if (forward_ == nullptr) return 0;
    return std::max({forward_->workspace_bytes(), data_->workspace_bytes(),
                     backward_weights_->workspace_bytes()});
  }
  void forward(Stream stream, const float* x, const float* w, float* y,
               void* workspace) const override {
    if (forward_ != nullptr) forward_->run(queue(stream), x, w, y, workspace);
  }
  void backward_data(Stream stream, const float* dy, const float* w, float* dx,
                     void* workspace) const override {
    if (data_ != nullptr) data_->run(queue(stream), dx, w, dy, workspace);
  }
  void backward_weights(Stream stream, const float* x, const float* dy, float* dw,
                        void* workspace) const override {
    const Queue& q = queue(stream);
    if (backward_weights_ != nullptr)
      backward_weights_->run(q, x, dw, dy, workspace);
    else
      check(cudaMemsetAsync(dw, 0, static_cast<std::size_t>(weights_) * sizeof(float), q.stream),
            "clear a gradient");
  }

 private:
  const Queue& queue(Stream stream) const {
    use(context_.ordinal);
    return context_.streams->at(stream).queue();
  }

  Context context_;
  std::int64_t weights_;
  std::unique_ptr<const Pass> forward_, data_, backward_weights_; // null: an empty batch
};

} // namespace

std::unique_ptr<ConvTrainingPlan> plan_conv_training(const Context& context,
                                                     const std::shared_ptr<ConvLibrary>& library,
                                                     const ConvSpec& spec) {
  return std::make_unique<ConvTraining>(context, library, spec);
}

} // namespace mlp::kernels::cuda
