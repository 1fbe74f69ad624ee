// The CPU device: checks what it is asked, then hands it to the operation's file.
#include "kernels/cpu/ops.hpp"
#include "kernels/validate.hpp"

#include <cstdlib>
#include <cstring>

namespace mlp::kernels {

namespace {

using namespace validate;

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
    require_f32("a matrix product", s.dtype, "the CPU");
    check(s);
    return cpu::plan_matmul(pool_, s);
  }

  std::unique_ptr<ConvPlan> plan(const ConvSpec& s) override {
    require_f32("a convolution", s.dtype, "the CPU");
    check(s);
    return cpu::plan_conv(pool_, s);
  }

  std::unique_ptr<ConvTrainingPlan> plan_training(const ConvSpec& s) override {
    check_training(s);
    return cpu::plan_conv_training(pool_, s);
  }

  void pool(Stream, const PoolSpec& s, const float* x, float* y) override {
    if (check(s) != 0) cpu::pool_forward(pool_, s, x, y);
  }
  void pool_training(Stream, const PoolSpec& s, const float* x, float* y,
                     std::int32_t* index) override {
    if (check_training(s, index) != 0) cpu::pool_training(pool_, s, x, y, index);
  }
  void pool_backward(Stream, const PoolSpec& s, const float* dy, const std::int32_t* index,
                     float* dx) override {
    check_training(s, index);
    if (input_elements(s) != 0) cpu::pool_backward(pool_, s, dy, index, dx);
  }

  void activation(Stream, Activation kind, std::int64_t size, const float* x, float* y) override {
    if (elements("an activation", {size}) != 0) cpu::activation(pool_, kind, size, x, y);
  }
  void activation_backward(Stream, Activation kind, std::int64_t size, const float* x,
                           const float* dy, float* dx) override {
    if (elements("an activation", {size}) != 0)
      cpu::activation_backward(pool_, kind, size, x, dy, dx);
  }

  void elementwise(Stream, const ElementwiseSpec& s, const void* const* inputs, void* y) override {
    if (check(s) != 0) cpu::elementwise(pool_, merge_axes(s), inputs, y);
  }
  void copy(Stream, const CopySpec& s, const void* from, void* to) override {
    if (check(s) != 0) cpu::copy(pool_, merge_axes(s), from, to);
  }
  void take(Stream, const TakeSpec& s, const void* source, const void* indices, void* dst,
            std::int32_t* fault) override {
    if (fault == nullptr) invalid("taking needs a place for a fault");
    if (check(s) != 0) cpu::take(pool_, s, source, indices, dst, fault);
  }
  void one_hot(Stream, const OneHotSpec& s, const void* indices, void* dst) override {
    if (check(s) != 0) cpu::one_hot(pool_, s, indices, dst);
  }
  void reduce(Stream, const ReduceSpec& s, const float* x, float* y) override {
    if (check(s) != 0) cpu::reduce(pool_, s, x, y);
  }
  void layer_norm(Stream, std::int64_t rows, std::int64_t cols, float epsilon, const float* x,
                  const float* gamma, const float* beta, float* y) override {
    if (elements("a normalisation", {rows, cols}) != 0)
      cpu::layer_norm(pool_, rows, cols, epsilon, x, gamma, beta, y);
  }

  void epilogue(Stream, const EpilogueSpec& s, const StepState* state, const float* bias, float* z,
                float* y) override {
    check(s, state);
    if (elements("a layer", {s.rows, s.cols}) != 0) cpu::epilogue(pool_, s, state, bias, z, y);
  }
  void epilogue_backward(Stream, const EpilogueSpec& s, const StepState* state, const float* z,
                         const float* y, const float* dy, float* dz, float* dbias) override {
    check(s, state);
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
    if (check(s, mean, scale) != 0) cpu::gather(pool_, s, state, source, order, mean, scale, dst);
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
