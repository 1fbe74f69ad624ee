// What stands in for cuBLASLt and cuDNN: the CPU's products and convolutions.
#include "kernels/check/emulate/emulate.hpp"
#include "kernels/cuda/conv_engine.hpp"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/streams.hpp"

#include <algorithm>
#include <functional>
#include <vector>

namespace mlp::kernels::cuda {

class MatmulLibrary {
 public:
  std::unique_ptr<Device> cpu = make_cpu_device(1);
};
class ConvLibrary {
 public:
  std::unique_ptr<Device> cpu = make_cpu_device(1);
};

namespace {

class Matmul final : public MatmulPlan {
 public:
  Matmul(const Context& context, std::shared_ptr<MatmulLibrary> library, const MatmulSpec& spec)
      : context_(context), library_(std::move(library)), spec_(spec) {
    MatmulSpec bare = spec;
    bare.bias = false;
    bare.activation = Activation::none;
    bare.dtype = DType::f32;
    plan_ = library_->cpu->plan(bare);
  }
  std::size_t workspace_bytes() const noexcept override { return 0; }
  void run(Stream stream, const void* a, const void* b, const void* bias, void* c,
           void*) const override {
    if (spec_.m == 0 || spec_.n == 0 || spec_.batch == 0) return;
    const Queue& q = context_.streams->at(stream).queue();
    if (spec_.k != 0)
      emulate::submit(q.stream, [=, this] {
        if (spec_.dtype == DType::bf16)
          multiply_bf16(static_cast<const Bf16*>(a), static_cast<const Bf16*>(b),
                        static_cast<Bf16*>(c));
        else
          plan_->run({}, a, b, nullptr, c, nullptr);
      });
    finish(q,
           {.dtype = spec_.dtype,
            .batch = spec_.batch,
            .rows = spec_.m,
            .cols = spec_.n,
            .ld = spec_.ldc != 0 ? spec_.ldc : spec_.n,
            .stride = spec_.stride_c,
            .scale = spec_.k == 0 ? spec_.beta : 1.0F,
            .activation = spec_.activation},
           spec_.bias ? bias : nullptr, c);
  }

 private:
  // The sums are in float, as cuBLASLt's are.
  void multiply_bf16(const Bf16* a, const Bf16* b, Bf16* c) const {
    const auto extent = [&](std::int64_t rows, std::int64_t cols, std::int64_t ld,
                            std::int64_t stride) {
      return static_cast<std::size_t>(stride * (spec_.batch - 1) +
                                      rows * std::max(ld, cols)); // ld 0: dense
    };
    const auto widen = [](const Bf16* from, std::size_t size) {
      std::vector<float> values(size);
      std::transform(from, from + size, values.begin(), [](Bf16 v) { return to_float(v); });
      return values;
    };
    const MatmulSpec& s = spec_;
    const auto wide_a = widen(a, s.transpose_a ? extent(s.k, s.m, s.lda, s.stride_a)
                                               : extent(s.m, s.k, s.lda, s.stride_a));
    const auto wide_b = widen(b, s.transpose_b ? extent(s.n, s.k, s.ldb, s.stride_b)
                                               : extent(s.k, s.n, s.ldb, s.stride_b));
    auto wide_c = widen(c, extent(s.m, s.n, s.ldc, s.stride_c));
    plan_->run({}, wide_a.data(), wide_b.data(), nullptr, wide_c.data(), nullptr);
    std::transform(wide_c.begin(), wide_c.end(), c, [](float v) { return from_float<Bf16>(v); });
  }

  Context context_;
  std::shared_ptr<MatmulLibrary> library_;
  MatmulSpec spec_;
  std::unique_ptr<MatmulPlan> plan_;
};

// cuDNN's part of a convolution, by the CPU's training plan.
class Engine final : public ConvEngine {
 public:
  Engine(const ConvLibrary& library, const ConvSpec& spec, Direction direction, bool channels_last)
      : direction_(direction), channels_last_(channels_last),
        is_bf16_(spec.dtype == DType::bf16), x_{spec.batch, 1, spec.channels},
        w_{spec.out_channels, 1, spec.channels / spec.groups}, y_{spec.batch, 1,
                                                                  spec.out_channels} {
    ConvSpec bare = spec;
    bare.bias = false;
    bare.activation = Activation::none;
    bare.dtype = DType::f32;
    for (int axis = 0; axis < spec.window.rank; ++axis) {
      if (spec.window.pad_begin[axis] != spec.window.pad_end[axis])
        throw Error(ErrorKind::invalid, "cuDNN takes no uneven pads");
      x_.cells *= spec.in[axis];
      w_.cells *= spec.window.kernel[axis];
      y_.cells *= output_size(spec.window, axis, spec.in[axis]);
    }
    plan_ = library.cpu->plan_training(bare);
  }
  std::size_t workspace_bytes() const noexcept override { return plan_->workspace_bytes(); }
  std::int64_t most() const { return static_cast<std::int64_t>(std::max(x_.size(), y_.size())); }
  void run(const Queue& q, const Operands& operands, void* workspace) const override {
    emulate::submit(q.stream, [=, this] { compute(operands, workspace); });
  }

 private:
  struct Shape {
    std::int64_t planes, cells, channels;
    std::size_t size() const { return static_cast<std::size_t>(planes * cells * channels); }
  };

  // body(where an element lies here, where it lies in float32 with channels last).
  template <class Body>
  void for_each(const Shape& s, const Body& body) const {
    for (std::int64_t plane = 0; plane < s.planes; ++plane)
      for (std::int64_t cell = 0; cell < s.cells; ++cell)
        for (std::int64_t c = 0; c < s.channels; ++c) {
          const std::int64_t last = (plane * s.cells + cell) * s.channels + c;
          const std::int64_t first = (plane * s.channels + c) * s.cells + cell;
          body(static_cast<std::size_t>(channels_last_ ? last : first),
               static_cast<std::size_t>(last));
        }
  }
  std::vector<float> read(const Shape& s, const void* from) const {
    std::vector<float> values(s.size());
    for_each(s, [&](std::size_t here, std::size_t there) {
      values[there] = is_bf16_ ? to_float(static_cast<const Bf16*>(from)[here])
                               : static_cast<const float*>(from)[here];
    });
    return values;
  }
  void write(const Shape& s, const std::vector<float>& values, void* to) const {
    for_each(s, [&](std::size_t here, std::size_t there) {
      if (is_bf16_)
        static_cast<Bf16*>(to)[here] = from_float<Bf16>(values[there]);
      else
        static_cast<float*>(to)[here] = values[there];
    });
  }

  void compute(const Operands& t, void* workspace) const {
    std::vector<float> x = read(x_, t.x);
    std::vector<float> w = read(w_, t.w);
    std::vector<float> y = read(y_, t.y);
    const std::vector<float> before = t.add ? w : std::vector<float>(w.size(), 0.0F);
    switch (direction_) {
    case Direction::forward:
      plan_->forward({}, x.data(), w.data(), y.data(), workspace);
      return write(y_, y, t.y);
    case Direction::data:
      plan_->backward_data({}, y.data(), w.data(), x.data(), workspace);
      return write(x_, x, t.x);
    case Direction::weights:
      plan_->backward_weights({}, x.data(), y.data(), w.data(), workspace);
      std::transform(w.begin(), w.end(), before.begin(), w.begin(), std::plus<>());
      return write(w_, w, t.w);
    }
  }

  Direction direction_;
  bool channels_last_, is_bf16_;
  Shape x_, w_, y_;
  std::unique_ptr<ConvTrainingPlan> plan_;
};

} // namespace

std::shared_ptr<MatmulLibrary> load_matmul_library() {
  return std::make_shared<MatmulLibrary>();
}
std::shared_ptr<ConvLibrary> load_conv_library() {
  return std::make_shared<ConvLibrary>();
}
std::unique_ptr<MatmulPlan> plan_matmul(const Context& context,
                                        std::shared_ptr<MatmulLibrary> library,
                                        const MatmulSpec& spec) {
  return std::make_unique<Matmul>(context, std::move(library), spec);
}
// Little, so that batches are cut, as cuDNN's limit makes it only of those of gigabytes.
std::int64_t most_elements() noexcept {
  return 1 << 13;
}
// As where cuDNN has no algorithm for groups with channels last, and but the last resort for one
// axis, so that every way is checked.
std::unique_ptr<ConvEngine> make_conv_engine(const Context&, std::shared_ptr<ConvLibrary> library,
                                             const ConvSpec& spec, Direction direction, Way way) {
  if (way.channels_last && spec.groups > 1) return nullptr;
  if (!way.last_resort && spec.window.rank == 1) return nullptr;
  auto engine = std::make_unique<Engine>(*library, spec, direction, way.channels_last);
  if (spec.batch > 1 && engine->most() > most_elements())
    throw Error(ErrorKind::unsupported, "a tensor is too large for cuDNN");
  return engine;
}

} // namespace mlp::kernels::cuda
