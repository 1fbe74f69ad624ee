// What stands in for cuBLASLt and cuDNN: the CPU's products and convolutions.
#include "kernels/check/emulate/emulate.hpp"
#include "kernels/cuda/conv_engine.hpp"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/streams.hpp"

#include <algorithm>
#include <cstring>
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

// To the 10 bits of mantissa that tf32 has.
float to_tf32(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7F800000U) != 0x7F800000U) bits = (bits + 0x1000U) & ~0x1FFFU;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

// As a library reads an operand of f32.
float rounded(float value, Precision precision) {
  switch (precision) {
  case Precision::f32:
    return value;
  case Precision::tf32:
    return to_tf32(value);
  case Precision::bf16:
    return to_float(from_float<Bf16>(value));
  }
  return value;
}

// Lives on in what is queued, as on a GPU work that is queued needs no plan.
class Product {
 public:
  Product(MatmulLibrary& library, const MatmulSpec& spec, Precision precision)
      : spec_(spec), precision_(precision) {
    MatmulSpec bare = spec;
    bare.bias = false;
    bare.activation = Activation::none;
    bare.dtype = DType::f32;
    plan_ = library.cpu->plan(bare);
  }
  void run(const void* a, const void* b, void* c) const {
    if (spec_.dtype == DType::bf16)
      multiply(static_cast<const Bf16*>(a), static_cast<const Bf16*>(b), static_cast<Bf16*>(c));
    else if (precision_ != Precision::f32)
      multiply(static_cast<const float*>(a), static_cast<const float*>(b), static_cast<float*>(c));
    else
      plan_->run({}, a, b, nullptr, c, nullptr);
  }

 private:
  // The sums are in float, as cuBLASLt's are.
  template <class T>
  void multiply(const T* a, const T* b, T* c) const {
    const auto extent = [&](std::int64_t rows, std::int64_t cols, std::int64_t ld,
                            std::int64_t stride) {
      return static_cast<std::size_t>(stride * (spec_.batch - 1) +
                                      rows * std::max(ld, cols)); // ld 0: dense
    };
    const auto widen = [](const T* from, std::size_t size) {
      std::vector<float> values(size);
      std::transform(from, from + size, values.begin(), [](T v) { return to_float(v); });
      return values;
    };
    const auto read = [&](const T* from, std::size_t size) {
      std::vector<float> values = widen(from, size);
      for (float& value : values)
        value = rounded(value, precision_);
      return values;
    };
    const MatmulSpec& s = spec_;
    const auto wide_a = read(a, s.transpose_a ? extent(s.k, s.m, s.lda, s.stride_a)
                                              : extent(s.m, s.k, s.lda, s.stride_a));
    const auto wide_b = read(b, s.transpose_b ? extent(s.n, s.k, s.ldb, s.stride_b)
                                              : extent(s.k, s.n, s.ldb, s.stride_b));
    auto wide_c = widen(c, extent(s.m, s.n, s.ldc, s.stride_c));
    plan_->run({}, wide_a.data(), wide_b.data(), nullptr, wide_c.data(), nullptr);
    std::transform(wide_c.begin(), wide_c.end(), c, [](float v) { return from_float<T>(v); });
  }

  MatmulSpec spec_;
  Precision precision_;
  std::unique_ptr<MatmulPlan> plan_;
};

class Matmul final : public MatmulPlan {
 public:
  Matmul(const Context& context, std::shared_ptr<MatmulLibrary> library, const MatmulSpec& spec)
      : context_(context), library_(std::move(library)), spec_(spec),
        product_(std::make_shared<const Product>(*library_, spec, context.precision)) {}
  std::size_t workspace_bytes() const noexcept override { return 0; }
  void run(Stream stream, const void* a, const void* b, const void* bias, void* c,
           void*) const override {
    if (spec_.m == 0 || spec_.n == 0 || spec_.batch == 0) return;
    const Queue& q = context_.streams->at(stream).queue();
    if (spec_.k != 0) emulate::submit(q.stream, [=, product = product_] { product->run(a, b, c); });
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
  Context context_;
  std::shared_ptr<MatmulLibrary> library_;
  MatmulSpec spec_;
  std::shared_ptr<const Product> product_;
};

// cuDNN's part of a convolution, by the CPU's training plan.
class Convolution {
 public:
  Convolution(const ConvLibrary& library, const ConvSpec& spec, Direction direction,
              bool channels_last, Precision precision)
      : direction_(direction), channels_last_(channels_last), is_bf16_(spec.dtype == DType::bf16),
        precision_(precision), x_{spec.batch, 1, spec.channels},
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
  std::size_t workspace_bytes() const noexcept { return plan_->workspace_bytes(); }
  std::int64_t most() const { return static_cast<std::int64_t>(std::max(x_.size(), y_.size())); }
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
                               : rounded(static_cast<const float*>(from)[here], precision_);
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

  Direction direction_;
  bool channels_last_, is_bf16_;
  Precision precision_;
  Shape x_, w_, y_;
  std::unique_ptr<ConvTrainingPlan> plan_;
};

class Engine final : public ConvEngine {
 public:
  explicit Engine(std::shared_ptr<const Convolution> convolution)
      : convolution_(std::move(convolution)) {}
  std::size_t workspace_bytes() const noexcept override { return convolution_->workspace_bytes(); }
  void run(const Queue& q, const Operands& operands, void* workspace) const override {
    emulate::submit(q.stream, [operands, workspace, convolution = convolution_] {
      convolution->compute(operands, workspace);
    });
  }

 private:
  std::shared_ptr<const Convolution> convolution_;
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
std::unique_ptr<ConvEngine> make_conv_engine(const Context& context,
                                             std::shared_ptr<ConvLibrary> library,
                                             const ConvSpec& spec, Direction direction, Way way) {
  if (way.channels_last && spec.groups > 1) return nullptr;
  if (!way.last_resort && spec.window.rank == 1) return nullptr;
  auto convolution = std::make_shared<const Convolution>(*library, spec, direction,
                                                         way.channels_last, context.precision);
  if (spec.batch > 1 && convolution->most() > most_elements())
    throw Error(ErrorKind::unsupported, "a tensor is too large for cuDNN");
  return std::make_unique<Engine>(std::move(convolution));
}

} // namespace mlp::kernels::cuda
