// What stands in for cuBLASLt and cuDNN: the CPU's product or convolution without its end, then the
// CUDA device's own kernels for bias, activation and padding.
#include "kernels/cuda/plans.hpp"

#include "kernels/check/emulate/emulate.hpp"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/streams.hpp"

#include <algorithm>
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

class Conv final : public ConvPlan {
 public:
  Conv(const Context& context, std::shared_ptr<ConvLibrary> library, const ConvSpec& spec)
      : context_(context), library_(std::move(library)), spec_(spec) {
    ConvSpec bare = spec;
    bare.bias = false;
    bare.activation = Activation::none;
    padding_.planes = spec.batch * spec.channels;
    for (int axis = 0; axis < spec.window.rank; ++axis) {
      const int to = kMaxSpatial - spec.window.rank + axis;
      padding_.in[to] = spec.in[axis];
      padding_.before[to] = spec.window.pad_begin[axis];
      padding_.out[to] = bare.in[axis] =
          spec.in[axis] + spec.window.pad_begin[axis] + spec.window.pad_end[axis];
      bare.window.pad_begin[axis] = bare.window.pad_end[axis] = 0;
      pixels_ *= output_size(spec.window, axis, spec.in[axis]);
    }
    plan_ = library_->cpu->plan(bare);
    padded_ = static_cast<std::size_t>(padding_.planes * padding_.out[0] * padding_.out[1] *
                                       padding_.out[2]) *
              sizeof(float);
    padded_ = (padded_ + kAlignment - 1) / kAlignment * kAlignment;
  }
  std::size_t workspace_bytes() const noexcept override {
    return padded_ + plan_->workspace_bytes();
  }
  std::size_t prepared_bytes() const noexcept override { return plan_->prepared_bytes(); }
  void prepare_weights(Stream stream, const void* w, void* prepared,
                       void* workspace) const override {
    const Queue& q = context_.streams->at(stream).queue();
    emulate::submit(q.stream, [=, this] {
      plan_->prepare_weights({}, w, prepared, static_cast<char*>(workspace) + padded_);
    });
  }
  void run(Stream stream, const void* x, const void* prepared, const void* bias, void* y,
           void* workspace) const override {
    if (spec_.batch == 0) return;
    const Queue& q = context_.streams->at(stream).queue();
    pad(q, padding_, x, workspace);
    emulate::submit(q.stream, [=, this] {
      plan_->run({}, workspace, prepared, nullptr, y, static_cast<char*>(workspace) + padded_);
    });
    finish(q,
           {.rows = spec_.batch * spec_.out_channels,
            .cols = pixels_,
            .ld = pixels_,
            .bias_period = spec_.out_channels,
            .activation = spec_.activation},
           spec_.bias ? bias : nullptr, y);
  }

 private:
  Context context_;
  std::shared_ptr<ConvLibrary> library_;
  ConvSpec spec_;
  Padding padding_;
  std::int64_t pixels_ = 1;
  std::size_t padded_ = 0;
  std::unique_ptr<ConvPlan> plan_;
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
std::unique_ptr<ConvPlan> plan_conv(const Context& context, std::shared_ptr<ConvLibrary> library,
                                    const ConvSpec& spec) {
  return std::make_unique<Conv>(context, std::move(library), spec);
}

} // namespace mlp::kernels::cuda
