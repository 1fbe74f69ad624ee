// The CPU device: checks what it is asked, then hands it to the operation's file.
#include "kernels/cpu/ops.hpp"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace mlp::kernels {

namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

[[noreturn]] void invalid(const std::string& what) {
  throw Error(ErrorKind::invalid, what);
}

// All sizes >= 0 and their product in range; returns it.
std::int64_t elements(const char* what, std::initializer_list<std::int64_t> sizes) {
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t size : sizes) {
    if (size < 0) invalid(std::string(what) + " has a negative size");
    if (size == 0) {
      empty = true;
    } else if (product > kMaxElements / size) {
      invalid(std::string(what) + " is too large");
    } else {
      product *= size;
    }
  }
  return empty ? 0 : product;
}

void require_f32(const char* what, DType dtype) {
  if (dtype != DType::f32)
    throw Error(ErrorKind::unsupported,
                std::string(what) + " of type " + name_of(dtype) + " is not done on the CPU");
}

void check_window(const char* what, const Window& w) {
  if (w.rank < 1 || w.rank > kMaxSpatial)
    invalid(std::string(what) + " has " + std::to_string(w.rank) +
            " spatial axes, 1 to 3 are possible");
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;
  const auto in_range = [](std::int64_t value, std::int64_t least) {
    return value >= least && value <= kLargest;
  };
  for (int i = 0; i < w.rank; ++i) {
    if (!in_range(w.kernel[i], 1) || !in_range(w.stride[i], 1) || !in_range(w.dilation[i], 1))
      invalid(std::string(what) + " has a kernel, stride or dilation less than 1 or too large");
    if (!in_range(w.pad_begin[i], 0) || !in_range(w.pad_end[i], 0))
      invalid(std::string(what) + " has a negative or too large pad");
  }
}

void require_dropout(const EpilogueSpec& spec, const StepState* state) {
  if (!(spec.dropout >= 0.0F && spec.dropout < 1.0F)) invalid("dropout is not in [0, 1)");
  if (spec.dropout > 0.0F && state == nullptr) invalid("dropout needs a step state");
}

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int threads) : pool_(threads > 0 ? threads : cpu::usable_cpus()) {}

  const char* name() const noexcept override { return "cpu"; }
  int threads() const noexcept override { return pool_.size(); }
  bool reads_host_memory() const noexcept override { return true; }

  void* allocate(std::size_t bytes) override {
    const std::size_t size = (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment;
    void* pointer =
        size <= SIZE_MAX / kAlignment ? std::aligned_alloc(kAlignment, size * kAlignment) : nullptr;
    if (pointer == nullptr)
      throw Error(ErrorKind::out_of_memory,
                  "no memory for a buffer of " + std::to_string(bytes) + " bytes");
    return pointer;
  }
  void release(void* pointer) noexcept override { std::free(pointer); }
  void* allocate_host(std::size_t bytes) override { return allocate(bytes); }
  void release_host(void* pointer) noexcept override { release(pointer); }
  void copy_in(Stream, void* device, const void* host, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(device, host, bytes);
  }
  void copy_out(Stream, void* host, const void* device, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(host, device, bytes);
  }
  void zero(Stream, void* device, std::size_t bytes) override {
    if (bytes != 0) std::memset(device, 0, bytes);
  }
  void synchronize(Stream) override {}

  Stream make_stream() override { return {}; }
  void release(Stream) noexcept override {}
  void order(Stream, Stream) override {}
  std::unique_ptr<Graph> capture(Stream, const std::function<void()>&) override { return nullptr; }

  std::unique_ptr<MatmulPlan> plan(const MatmulSpec& s) override {
    require_f32("a matrix product", s.dtype);
    elements("a matrix product", {s.batch, s.m, s.n, std::max<std::int64_t>(s.k, 1)});
    elements("a matrix product", {s.k});
    const auto fits = [](std::int64_t ld, std::int64_t dense) { return ld == 0 || ld >= dense; };
    if (!fits(s.lda, s.transpose_a ? s.m : s.k) || !fits(s.ldb, s.transpose_b ? s.k : s.n) ||
        !fits(s.ldc, s.n))
      invalid("a matrix product's leading dimension is less than a row");
    return cpu::plan_matmul(pool_, s);
  }

  std::unique_ptr<ConvPlan> plan(const ConvSpec& s) override {
    require_f32("a convolution", s.dtype);
    check_window("a convolution", s.window);
    if (s.groups < 1 || s.channels < 1 || s.out_channels < 1 || s.channels % s.groups != 0 ||
        s.out_channels % s.groups != 0)
      invalid("a convolution's channels (" + std::to_string(s.channels) + " in, " +
              std::to_string(s.out_channels) + " out) are not multiples of its groups (" +
              std::to_string(s.groups) + ")");
    std::int64_t in = elements("a convolution's input", {s.batch, s.channels});
    std::int64_t out = elements("a convolution's output", {s.batch, s.out_channels});
    std::int64_t w = elements("a convolution's weights", {s.out_channels, s.channels / s.groups});
    for (int i = 0; i < s.window.rank; ++i) {
      const std::int64_t size = output_size(s.window, i, s.in[i]);
      if (s.in[i] < 1 || size < 1) invalid("a convolution's window does not fit its input");
      in = elements("a convolution's input", {in, s.in[i]});
      out = elements("a convolution's output", {out, size});
      w = elements("a convolution's weights", {w, s.window.kernel[i]});
    }
    return cpu::plan_conv(pool_, s);
  }

  void pool(Stream, const PoolSpec& s, const float* x, float* y) override {
    check_window("a pooling", s.window);
    std::int64_t in = elements("a pooling's input", {s.batch, s.channels});
    std::int64_t out = elements("a pooling's output", {s.batch, s.channels});
    for (int i = 0; i < s.window.rank; ++i) {
      in = elements("a pooling's input", {in, s.in[i]});
      out = elements("a pooling's output", {out, s.out[i]});
    }
    if (out != 0) cpu::pool_forward(pool_, s, x, y);
  }

  void activation(Stream, Activation kind, std::int64_t size, const float* x, float* y) override {
    if (elements("an activation", {size}) != 0) cpu::activation(pool_, kind, size, x, y);
  }
  void activation_backward(Stream, Activation kind, std::int64_t size, const float* x,
                           const float* dy, float* dx) override {
    if (elements("an activation", {size}) != 0)
      cpu::activation_backward(pool_, kind, size, x, dy, dx);
  }

  void epilogue(Stream, const EpilogueSpec& s, const StepState* state, const float* bias, float* z,
                float* y) override {
    require_dropout(s, state);
    if (elements("a layer", {s.rows, s.cols}) != 0) cpu::epilogue(pool_, s, state, bias, z, y);
  }
  void epilogue_backward(Stream, const EpilogueSpec& s, const StepState* state, const float* z,
                         const float* y, const float* dy, float* dz, float* dbias) override {
    require_dropout(s, state);
    if (elements("a layer", {s.rows, s.cols}) != 0)
      cpu::epilogue_backward(pool_, s, state, z, y, dy, dz, dbias);
  }

  void batch_norm(Stream, const BatchNormSpec& s, const float* x, const float* gamma,
                  const float* beta, float* running_mean, float* running_var, float* mean,
                  float* inv_std, float* y) override {
    if (elements("a batch normalisation", {s.rows, s.cols}) != 0)
      cpu::batch_norm(pool_, s, x, gamma, beta, running_mean, running_var, mean, inv_std, y);
  }
  void batch_norm_backward(Stream, const BatchNormSpec& s, const float* x, const float* gamma,
                           const float* mean, const float* inv_std, const float* dy, float* dx,
                           float* dgamma, float* dbeta) override {
    if (elements("a batch normalisation", {s.rows, s.cols}) != 0)
      cpu::batch_norm_backward(pool_, s, x, gamma, mean, inv_std, dy, dx, dgamma, dbeta);
  }
  void batch_norm_inference(Stream, std::int64_t outer, std::int64_t channels, std::int64_t inner,
                            float epsilon, const float* x, const float* gamma, const float* beta,
                            const float* mean, const float* var, float* y) override {
    if (elements("a batch normalisation", {outer, channels, inner}) != 0)
      cpu::batch_norm_inference(pool_, outer, channels, inner, epsilon, x, gamma, beta, mean, var,
                                y);
  }

  void softmax_cross_entropy(Stream, std::int64_t rows, std::int64_t classes, const float* logits,
                             const std::int32_t* labels, const float* class_weights,
                             float* gradient, LossStats* stats) override {
    if (elements("a loss", {rows, classes}) != 0)
      cpu::softmax_cross_entropy(pool_, rows, classes, logits, labels, class_weights, gradient,
                                 stats);
  }
  void squared_error(Stream, std::int64_t rows, std::int64_t cols, const float* prediction,
                     const float* target, float* gradient, LossStats* stats) override {
    if (elements("a loss", {rows, cols}) != 0)
      cpu::squared_error(pool_, rows, cols, prediction, target, gradient, stats);
  }
  void huber(Stream, std::int64_t rows, std::int64_t cols, float delta, const float* prediction,
             const float* target, float* gradient, LossStats* stats) override {
    if (!(delta > 0.0F)) invalid("huber's delta is not positive");
    if (elements("a loss", {rows, cols}) != 0)
      cpu::huber(pool_, rows, cols, delta, prediction, target, gradient, stats);
  }
  void softmax(Stream, std::int64_t rows, std::int64_t cols, const float* x, float* y) override {
    if (elements("a softmax", {rows, cols}) != 0) cpu::softmax(pool_, rows, cols, x, y);
  }

  void adamw(Stream, const AdamWSpec& s, const StepState* state, float* params, const float* grads,
             float* first, float* second) override {
    if (state == nullptr || state->step == 0) invalid("an optimiser needs a step of at least 1");
    elements("an optimiser", {s.decayed});
    if (elements("an optimiser", {s.size}) != 0)
      cpu::adamw(pool_, s, *state, params, grads, first, second);
  }
  void sgd(Stream, const SgdSpec& s, const StepState* state, float* params, const float* grads,
           float* velocity) override {
    if (state == nullptr) invalid("an optimiser needs a step state");
    elements("an optimiser", {s.decayed});
    if (elements("an optimiser", {s.size}) != 0)
      cpu::sgd(pool_, s, *state, params, grads, velocity);
  }

  void gather(Stream, const GatherSpec& s, const StepState* state, const void* source,
              const std::int32_t* order, const float* mean, const float* scale,
              void* dst) override {
    const bool to_float = s.source == DType::u8 || s.source == DType::f32;
    if (!to_float && (s.source != DType::i32 || s.affine))
      throw Error(ErrorKind::unsupported,
                  std::string("rows of type ") + name_of(s.source) + " cannot be gathered so");
    if (s.affine && (mean == nullptr || scale == nullptr))
      invalid("standardising needs a mean and a scale");
    if (elements("a batch", {s.rows, s.cols}) != 0)
      cpu::gather(pool_, s, state, source, order, mean, scale, dst);
  }
  void sum_rows(Stream, std::int64_t rows, std::int64_t cols, const float* x, float* dst) override {
    elements("a sum", {rows, cols});
    cpu::sum_rows(pool_, rows, cols, x, dst);
  }

 private:
  cpu::ThreadPool pool_;
};

} // namespace

std::unique_ptr<Device> make_cpu_device(int threads) {
  constexpr int kMostThreads = 1024;
  return std::make_unique<CpuDevice>(std::min(threads, kMostThreads));
}

} // namespace mlp::kernels
