// The CUDA device: checks what it is asked, selects the GPU, then hands it to the operation's file.
#include "kernels/cuda/plans.hpp"
#include "kernels/cuda/streams.hpp"
#include "kernels/validate.hpp"

#include <algorithm>

namespace mlp::kernels {

namespace {

using namespace validate;
using cuda::Queue;

// Pinned memory that allocate_host() has given out, so that a copy knows it.
class PinnedMemory {
 public:
  void* allocate(std::size_t bytes) {
    void* pointer = nullptr;
    bytes = std::max<std::size_t>(bytes, 1);
    // Portable: pinned for every GPU of this process.
    cuda::check(cudaHostAlloc(&pointer, bytes, cudaHostAllocPortable), "allocate pinned memory");
    const std::lock_guard lock(mutex_);
    ranges_[static_cast<const char*>(pointer)] = bytes;
    return pointer;
  }
  void release(void* pointer) noexcept {
    if (pointer == nullptr) return;
    {
      const std::lock_guard lock(mutex_);
      ranges_.erase(static_cast<const char*>(pointer));
    }
    static_cast<void>(cudaFreeHost(pointer));
  }
  bool holds(const void* pointer, std::size_t bytes) const {
    const auto* first = static_cast<const char*>(pointer);
    const std::lock_guard lock(mutex_);
    auto after = ranges_.upper_bound(first);
    if (after == ranges_.begin()) return false;
    const auto& [start, size] = *--after;
    return first + bytes <= start + size;
  }

 private:
  mutable std::mutex mutex_;
  std::map<const char*, std::size_t, std::less<>> ranges_;
};

class CudaGraph final : public Graph {
 public:
  CudaGraph(int ordinal, const cuda::Streams& streams, cudaGraph_t graph)
      : ordinal_(ordinal), streams_(streams) {
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    cuda::check(status, "build a graph of operations");
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  ~CudaGraph() override {
    static_cast<void>(cudaSetDevice(ordinal_));
    static_cast<void>(cudaGraphExecDestroy(executable_));
  }
  void launch(Stream stream) const override {
    cuda::use(ordinal_);
    cuda::check(cudaGraphLaunch(executable_, streams_.at(stream).handle()),
                "launch a graph of operations");
  }

 private:
  int ordinal_;
  const cuda::Streams& streams_;
  cudaGraphExec_t executable_ = nullptr;
};

int processors_of(int ordinal) {
  int count = 0;
  cuda::check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, ordinal),
              "ask what a GPU has");
  return count;
}

class CudaDevice final : public Device {
 public:
  // The GPU has been selected in this thread.
  CudaDevice(int ordinal, const CudaOptions& options)
      : ordinal_(ordinal), name_("cuda:" + std::to_string(ordinal)),
        streams_(processors_of(ordinal)), context_{ordinal, &streams_, options.precision} {}
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  // What the members free belongs to this GPU.
  ~CudaDevice() override { static_cast<void>(cudaSetDevice(ordinal_)); }

  const char* name() const noexcept override { return name_.c_str(); }
  int threads() const noexcept override { return 1; }
  bool reads_host_memory() const noexcept override { return false; }

  void* allocate(std::size_t bytes) override {
    cuda::use(ordinal_);
    void* pointer = nullptr;
    const cudaError_t status = cudaMalloc(&pointer, std::max<std::size_t>(bytes, 1));
    if (status == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      throw Error(ErrorKind::out_of_memory,
                  name_ + " has no memory for a buffer of " + std::to_string(bytes) + " bytes",
                  "use a smaller batch, or end what else uses the GPU");
    }
    cuda::check(status, "allocate memory on the GPU");
    return pointer;
  }
  void release(void* pointer) noexcept override {
    static_cast<void>(cudaSetDevice(ordinal_));
    static_cast<void>(cudaFree(pointer));
  }
  void* allocate_host(std::size_t bytes) override {
    cuda::use(ordinal_);
    return pinned_.allocate(bytes);
  }
  void release_host(void* pointer) noexcept override {
    static_cast<void>(cudaSetDevice(ordinal_));
    pinned_.release(pointer);
  }

  void copy_in(Stream stream, void* device, const void* host, std::size_t bytes) override {
    cuda::StreamState& state = select(stream);
    if (bytes == 0) return;
    if (pinned_.holds(host, bytes)) {
      cuda::check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, state.handle()),
                  "copy to the GPU");
      return;
    }
    if (state.capturing)
      invalid("a recorded copy to the GPU needs memory that allocate_host() has given");
    for (std::size_t at = 0; at < bytes; at += cuda::PinnedRing::kSlot)
      state.ring().copy_in(state.handle(), static_cast<char*>(device) + at,
                           static_cast<const char*>(host) + at,
                           std::min(cuda::PinnedRing::kSlot, bytes - at));
  }
  void copy_out(Stream stream, void* host, const void* device, std::size_t bytes) override {
    cuda::StreamState& state = select(stream);
    if (state.capturing) invalid("a copy from the GPU cannot be recorded, because it waits");
    if (bytes == 0) return;
    cuda::check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, state.handle()),
                "copy from the GPU");
    cuda::check(cudaStreamSynchronize(state.handle()), "copy from the GPU");
  }
  void zero(Stream stream, void* device, std::size_t bytes) override {
    cuda::StreamState& state = select(stream);
    if (bytes != 0)
      cuda::check(cudaMemsetAsync(device, 0, bytes, state.handle()), "clear memory of the GPU");
  }
  void synchronize(Stream stream) override {
    cuda::StreamState& state = select(stream);
    if (state.capturing) invalid("waiting for the GPU cannot be recorded");
    cuda::check(cudaStreamSynchronize(state.handle()), "wait for the GPU");
  }

  Stream make_stream() override {
    cuda::use(ordinal_);
    return streams_.make();
  }
  void release(Stream stream) noexcept override {
    static_cast<void>(cudaSetDevice(ordinal_));
    streams_.release(stream);
  }
  void order(Stream earlier, Stream later) override {
    select(earlier).order(streams_.at(later).handle());
  }

  std::unique_ptr<Graph> capture(Stream stream, const std::function<void()>& body) override {
    cuda::StreamState& state = select(stream);
    if (state.handle() == nullptr) invalid("the default stream cannot be recorded");
    // Relaxed: what a library does at its first use, and other threads do meanwhile, is allowed.
    cuda::check(cudaStreamBeginCapture(state.handle(), cudaStreamCaptureModeRelaxed),
                "start recording operations");
    cudaGraph_t graph = nullptr;
    state.capturing = true;
    try {
      body();
    } catch (...) {
      state.capturing = false;
      static_cast<void>(cudaStreamEndCapture(state.handle(), &graph));
      if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
      static_cast<void>(cudaGetLastError());
      throw;
    }
    state.capturing = false;
    cuda::use(ordinal_); // body may have selected another
    cuda::check(cudaStreamEndCapture(state.handle(), &graph), "record operations");
    return std::make_unique<CudaGraph>(ordinal_, streams_, graph);
  }

  std::unique_ptr<MatmulPlan> plan(const MatmulSpec& s) override {
    require_float("a matrix product", s.dtype);
    check(s);
    cuda::use(ordinal_);
    {
      const std::lock_guard lock(libraries_mutex_);
      if (matmul_ == nullptr) matmul_ = cuda::load_matmul_library();
    }
    return cuda::plan_matmul(context_, matmul_, s);
  }
  std::unique_ptr<ConvPlan> plan(const ConvSpec& s) override {
    require_float("a convolution", s.dtype);
    check(s);
    return cuda::plan_conv(context_, conv_library(), s);
  }

  std::unique_ptr<ConvTrainingPlan> plan_training(const ConvSpec& s) override {
    check_training(s);
    return cuda::plan_conv_training(context_, conv_library(), s);
  }

  void pool(Stream stream, const PoolSpec& s, const float* x, float* y) override {
    if (check(s) != 0) cuda::pool_forward(queue(stream), s, x, y);
  }
  void pool_training(Stream stream, const PoolSpec& s, const float* x, float* y,
                     std::int32_t* index) override {
    if (check_training(s, index) != 0) cuda::pool_training(queue(stream), s, x, y, index);
  }
  void pool_backward(Stream stream, const PoolSpec& s, const float* dy, const std::int32_t* index,
                     float* dx) override {
    check_training(s, index);
    if (input_elements(s) != 0) cuda::pool_backward(queue(stream), s, dy, index, dx);
  }

  void activation(Stream stream, Activation kind, std::int64_t size, const float* x,
                  float* y) override {
    if (elements("an activation", {size}) != 0) cuda::activation(queue(stream), kind, size, x, y);
  }
  void activation_backward(Stream stream, Activation kind, std::int64_t size, const float* x,
                           const float* dy, float* dx) override {
    if (elements("an activation", {size}) != 0)
      cuda::activation_backward(queue(stream), kind, size, x, dy, dx);
  }

  void elementwise(Stream stream, const ElementwiseSpec& s, const void* const* inputs,
                   void* y) override {
    if (check(s) != 0) cuda::elementwise(queue(stream), merge_axes(s), inputs, y);
  }
  void copy(Stream stream, const CopySpec& s, const void* from, void* to) override {
    if (check(s) != 0) cuda::copy(queue(stream), merge_axes(s), from, to);
  }
  void take(Stream stream, const TakeSpec& s, const void* source, const void* indices, void* dst,
            std::int32_t* fault) override {
    if (fault == nullptr) invalid("taking needs a place for a fault");
    if (check(s) != 0) cuda::take(queue(stream), s, source, indices, dst, fault);
  }
  void one_hot(Stream stream, const OneHotSpec& s, const void* indices, void* dst) override {
    if (check(s) != 0) cuda::one_hot(queue(stream), s, indices, dst);
  }
  void reduce(Stream stream, const ReduceSpec& s, const float* x, float* y) override {
    if (check(s) != 0) cuda::reduce(queue(stream), s, x, y);
  }
  void layer_norm(Stream stream, std::int64_t rows, std::int64_t cols, float epsilon,
                  const float* x, const float* gamma, const float* beta, float* y) override {
    if (elements("a normalisation", {rows, cols}) != 0)
      cuda::layer_norm(queue(stream), rows, cols, epsilon, x, gamma, beta, y);
  }

  void epilogue(Stream stream, const EpilogueSpec& s, const StepState* state, const float* bias,
                float* z, float* y) override {
    check(s, state);
    if (elements("a layer", {s.rows, s.cols}) != 0)
      cuda::epilogue(queue(stream), s, state, bias, z, y);
  }
  void epilogue_backward(Stream stream, const EpilogueSpec& s, const StepState* state,
                         const float* z, const float* y, const float* dy, float* dz,
                         float* dbias) override {
    check(s, state);
    if (elements("a layer", {s.rows, s.cols}) != 0)
      cuda::epilogue_backward(queue(stream), s, state, z, y, dy, dz, dbias);
  }

  void batch_norm(Stream stream, const BatchNormSpec& s, const float* x, const float* gamma,
                  const float* beta, float* running_mean, float* running_var, float* mean,
                  float* inv_std, float* y) override {
    if (elements("a batch normalisation", {s.rows, s.cols}) != 0)
      cuda::batch_norm(queue(stream), s, x, gamma, beta, running_mean, running_var, mean, inv_std,
                       y);
  }
  void batch_norm_backward(Stream stream, const BatchNormSpec& s, const float* x,
                           const float* gamma, const float* mean, const float* inv_std,
                           const float* dy, float* dx, float* dgamma, float* dbeta) override {
    if (elements("a batch normalisation", {s.rows, s.cols}) != 0)
      cuda::batch_norm_backward(queue(stream), s, x, gamma, mean, inv_std, dy, dx, dgamma, dbeta);
  }
  void batch_norm_inference(Stream stream, std::int64_t outer, std::int64_t channels,
                            std::int64_t inner, float epsilon, const float* x, const float* gamma,
                            const float* beta, const float* mean, const float* var,
                            float* y) override {
    if (elements("a batch normalisation", {outer, channels, inner}) != 0)
      cuda::batch_norm_inference(queue(stream), outer, channels, inner, epsilon, x, gamma, beta,
                                 mean, var, y);
  }

  void softmax_cross_entropy(Stream stream, std::int64_t rows, std::int64_t classes,
                             const float* logits, const std::int32_t* labels,
                             const float* class_weights, float* gradient,
                             LossStats* stats) override {
    if (elements("a loss", {rows, classes}) != 0)
      cuda::softmax_cross_entropy(queue(stream), rows, classes, logits, labels, class_weights,
                                  gradient, stats);
  }
  void squared_error(Stream stream, std::int64_t rows, std::int64_t cols, const float* prediction,
                     const float* target, float* gradient, LossStats* stats) override {
    if (elements("a loss", {rows, cols}) != 0)
      cuda::squared_error(queue(stream), rows, cols, prediction, target, gradient, stats);
  }
  void huber(Stream stream, std::int64_t rows, std::int64_t cols, float delta,
             const float* prediction, const float* target, float* gradient,
             LossStats* stats) override {
    if (!(delta > 0.0F)) invalid("huber's delta is not positive");
    if (elements("a loss", {rows, cols}) != 0)
      cuda::huber(queue(stream), rows, cols, delta, prediction, target, gradient, stats);
  }
  void softmax(Stream stream, std::int64_t rows, std::int64_t cols, const float* x,
               float* y) override {
    if (elements("a softmax", {rows, cols}) != 0) cuda::softmax(queue(stream), rows, cols, x, y);
  }

  void adamw(Stream stream, const AdamWSpec& s, const StepState* state, float* params,
             const float* grads, float* first, float* second) override {
    require_state(state);
    elements("an optimiser", {s.decayed});
    if (elements("an optimiser", {s.size}) != 0)
      cuda::adamw(queue(stream), s, state, params, grads, first, second);
  }
  void sgd(Stream stream, const SgdSpec& s, const StepState* state, float* params,
           const float* grads, float* velocity) override {
    require_state(state);
    elements("an optimiser", {s.decayed});
    if (elements("an optimiser", {s.size}) != 0)
      cuda::sgd(queue(stream), s, state, params, grads, velocity);
  }

  void gather(Stream stream, const GatherSpec& s, const StepState* state, const void* source,
              const std::int32_t* order, const float* mean, const float* scale,
              void* dst) override {
    if (check(s, mean, scale) != 0)
      cuda::gather(queue(stream), s, state, source, order, mean, scale, dst);
  }
  void sum_rows(Stream stream, std::int64_t rows, std::int64_t cols, const float* x,
                float* dst) override {
    elements("a sum", {rows, cols});
    if (cols != 0) cuda::sum_rows(queue(stream), rows, cols, x, dst);
  }

 private:
  static void require_float(const char* what, DType dtype) {
    if (dtype != DType::f32 && dtype != DType::bf16)
      throw Error(ErrorKind::unsupported,
                  std::string(what) + " of type " + name_of(dtype) + " is not done on a GPU");
  }
  // The state's contents are on the GPU and are not checked.
  static void require_state(const StepState* state) {
    if (state == nullptr) invalid("an optimiser needs a step state");
  }

  cuda::StreamState& select(Stream stream) const {
    cuda::use(ordinal_);
    return streams_.at(stream);
  }
  // Loads cuDNN at the first call.
  std::shared_ptr<cuda::ConvLibrary> conv_library() {
    cuda::use(ordinal_);
    const std::lock_guard lock(libraries_mutex_);
    if (conv_ == nullptr) conv_ = cuda::load_conv_library();
    return conv_;
  }
  const Queue& queue(Stream stream) const { return select(stream).queue(); }

  int ordinal_;
  std::string name_;
  cuda::Streams streams_;
  cuda::Context context_;
  PinnedMemory pinned_;
  std::mutex libraries_mutex_;
  std::shared_ptr<cuda::MatmulLibrary> matmul_;
  std::shared_ptr<cuda::ConvLibrary> conv_;
};

} // namespace

std::unique_ptr<Device> make_cuda_device(int ordinal, const CudaOptions& options) {
  const CudaStatus status = cuda_status();
  if (status.devices == 0)
    throw Error(ErrorKind::unavailable, "there is no CUDA device: " + status.reason,
                "install the NVIDIA driver, or use the CPU");
  if (ordinal < 0 || ordinal >= status.devices)
    throw Error(ErrorKind::unavailable,
                "there is no GPU 'cuda:" + std::to_string(ordinal) + "'; this process sees " +
                    std::to_string(status.devices),
                "see CUDA_VISIBLE_DEVICES");
  cuda::use(ordinal);
  return std::make_unique<CudaDevice>(ordinal, options);
}

} // namespace mlp::kernels
