// The compute device: what the trainer and the native runtime ask of a CPU or a GPU.
//
// Contract of every operation
//  - Buffers: all pointers are device memory of this device, owned by the caller, aligned to
//    kAlignment unless an operation says otherwise, not overlapping unless an operation allows it.
//    No operation allocates device memory: plans say how many bytes of workspace they want and the
//    caller lends them. Tensors are dense and row-major.
//  - Streams: an operation is queued on the caller's stream and may return before it has run; two
//    operations on one stream run in order. The CPU device runs at once in the calling thread and
//    its worker threads. Scalars that change from step to step (learning rate, position in the
//    random sequence, position in the epoch) are read from a StepState in device memory, so that a
//    whole training step can be captured once as a graph and replayed.
//  - Threads: a Device and its plans may be used from several threads at once, as long as each uses
//    its own stream, outputs and workspace. Methods never block on another stream; only
//    synchronize(), copy_out() and release() wait, and a device may wait in allocate() and
//    copy_in().
//  - Numbers: same inputs, same device, same number of threads give the same bits.
//  - Errors: kernels::Error, thrown before anything is queued. Sizes are checked, contents are not:
//    an index that a kernel reads (a label, a row) has to be in range.
#pragma once

#include "kernels/expression.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace mlp::kernels {

inline constexpr std::size_t kAlignment = 64;

// boolean: a byte, 0 or 1.
enum class DType : std::uint8_t { f32, bf16, u8, i32, i64, boolean };
std::size_t size_of(DType dtype) noexcept;
const char* name_of(DType dtype) noexcept;

// What went wrong, for a caller that maps it to its own errors. `hint` may be empty.
enum class ErrorKind : std::uint8_t {
  unavailable,   // no such device, or a library that it needs is not installed
  unsupported,   // this device does not do that for these types or sizes
  invalid,       // the caller broke the contract: a negative size, a null buffer
  out_of_memory, // no room for a buffer
  failed,        // the library or the driver reported an error
};
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::string hint = {})
      : std::runtime_error(message), kind_(kind), hint_(std::move(hint)) {}
  ErrorKind kind() const noexcept { return kind_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  ErrorKind kind_;
  std::string hint_;
};

// A queue of operations. For CUDA `handle` is a cudaStream_t that make_stream() has made, null for
// the device's default stream; the CPU ignores it.
struct Stream {
  void* handle = nullptr;
};

// A recorded sequence of operations, see Device::capture(). Must not outlive the device. What the
// operations read and write has to live as long as it is launched. Launches on the stream that it
// was recorded on, or on another one while that one is idle: both use the same scratch.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void launch(Stream stream) const = 0;
};

enum class Activation : std::uint8_t { none, relu, gelu, tanh, sigmoid }; // gelu: exact, with erf

// What changes from one training step to the next; lives in device memory (copy_in it).
struct StepState {
  std::uint64_t step = 1;     // 1 for the first step: Adam's bias correction, dropout's counter
  std::uint64_t seed = 0;     // key of the dropout's random sequence
  std::int64_t first_row = 0; // where this batch starts in the epoch's order of rows
  float learning_rate = 0.0F;
};

// What a loss adds up over batches, in device memory; zero it at the start of an epoch.
struct LossStats {
  double loss = 0.0;    // sum over rows of weight * loss
  double weight = 0.0;  // sum over rows of weight
  double correct = 0.0; // classification: rows whose largest logit is the label's
  double rows = 0.0;
};

// C = act(alpha * op(A) op(B) + beta * C + bias), for `batch` independent products.
// op(A) is m x k, op(B) k x n; lda is the distance between rows of A as stored (k if not
// transposed and dense, else m). A batch stride of 0 repeats the operand. `bias` has n elements.
struct MatmulSpec {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  std::int64_t lda = 0, ldb = 0, ldc = 0; // 0: dense
  std::int64_t batch = 1;
  std::int64_t stride_a = 0, stride_b = 0, stride_c = 0; // elements
  float alpha = 1.0F, beta = 0.0F;
  bool bias = false;
  Activation activation = Activation::none;
  DType dtype = DType::f32; // of A, B and C; sums are f32
};
class MatmulPlan {
 public:
  virtual ~MatmulPlan() = default;
  virtual std::size_t workspace_bytes() const noexcept = 0;
  // k == 0 gives beta * C + bias. With beta == 0, C's old contents are not read.
  virtual void run(Stream stream, const void* a, const void* b, const void* bias, void* c,
                   void* workspace) const = 0;
};

inline constexpr int kMaxSpatial = 3;
// Window of a convolution or a pooling over 1 to 3 spatial axes, in ONNX's words and order.
struct Window {
  int rank = 2;
  std::int64_t kernel[kMaxSpatial] = {1, 1, 1};
  std::int64_t stride[kMaxSpatial] = {1, 1, 1};
  std::int64_t dilation[kMaxSpatial] = {1, 1, 1};
  std::int64_t pad_begin[kMaxSpatial] = {0, 0, 0};
  std::int64_t pad_end[kMaxSpatial] = {0, 0, 0};
};

// y[n, out_channels, out...] = act(conv(x[n, channels, in...],
// w[out_channels, channels / groups, kernel...]) + bias). `out` is what the shapes give, see
// output_size(); channels-first, as ONNX.
struct ConvSpec {
  std::int64_t batch = 1, channels = 1, out_channels = 1, groups = 1;
  std::int64_t in[kMaxSpatial] = {1, 1, 1};
  Window window;
  bool bias = false;
  Activation activation = Activation::none;
  DType dtype = DType::f32;
};
// Weights may be laid out anew for the device once: prepare_weights() writes prepared_bytes()
// bytes, and run() takes those. workspace as for matmul.
class ConvPlan {
 public:
  virtual ~ConvPlan() = default;
  virtual std::size_t workspace_bytes() const noexcept = 0;
  virtual std::size_t prepared_bytes() const noexcept = 0;
  virtual void prepare_weights(Stream stream, const void* w, void* prepared,
                               void* workspace) const = 0;
  virtual void run(Stream stream, const void* x, const void* prepared, const void* bias, void* y,
                   void* workspace) const = 0;
};

// A convolution that is trained: channels last, so that what follows it (bias, activation,
// dropout, normalisation) is that of a dense layer with a row for each position. x[batch, in...,
// channels], w[out_channels, kernel..., channels / groups], y[batch, out..., out_channels], all
// f32; `bias` and `activation` of the spec have to be unset. One workspace does for all three.
//   forward           y = conv(x, w)
//   backward_data     dx, all of it, from dy and w
//   backward_weights  dw, all of it, from x and dy: the sum over the batch
class ConvTrainingPlan {
 public:
  virtual ~ConvTrainingPlan() = default;
  virtual std::size_t workspace_bytes() const noexcept = 0;
  virtual void forward(Stream stream, const float* x, const float* w, float* y,
                       void* workspace) const = 0;
  virtual void backward_data(Stream stream, const float* dy, const float* w, float* dx,
                             void* workspace) const = 0;
  virtual void backward_weights(Stream stream, const float* x, const float* dy, float* dw,
                                void* workspace) const = 0;
};

enum class Pool : std::uint8_t { max, average, average_with_padding };
// x[batch, channels, in...] -> y[batch, channels, out...]. `out` is the caller's, so that ONNX's
// ceil_mode works: a window may hang over the end by more than pad_end. Such cells are never
// counted; `average_with_padding` counts the pads (ONNX's count_include_pad). A max over a NaN is
// NaN; a window that has no cell at all gives the lowest float, or 0 for averages.
struct PoolSpec {
  Pool kind = Pool::max;
  std::int64_t batch = 1, channels = 1;
  std::int64_t in[kMaxSpatial] = {1, 1, 1};
  std::int64_t out[kMaxSpatial] = {1, 1, 1};
  Window window;
};

// Number of positions of a window along an axis: (in + pads - dilation * (kernel - 1) - 1) /
// stride + 1, rounded down, or up with `ceil` (then a last window that would start in the end pad
// is dropped, as ONNX does since opset 19 and all its tests expect). <= 0: does not fit.
std::int64_t output_size(const Window& window, int axis, std::int64_t in, bool ceil = false);

// What is added after a dense layer's matmul: y = dropout(act(z + bias)). Dropout keeps an element
// with probability 1 - p and scales it by 1 / (1 - p); element i of layer `layer` in step s is
// decided by word i % 4 of Philox4x32-10 with key StepState::seed and counter (i / 4, layer, s),
// so that forward and backward need no stored mask and a resumed training draws the same.
struct EpilogueSpec {
  std::int64_t rows = 0, cols = 0;
  Activation activation = Activation::none;
  float dropout = 0.0F; // p; 0: off (inference)
  std::uint32_t layer = 0;
};

struct BatchNormSpec {
  std::int64_t rows = 0, cols = 0; // over rows; ONNX's N, C, spatial: see batch_norm_inference
  float epsilon = 1e-5F;
  float momentum = 0.1F; // running = (1 - momentum) * running + momentum * batch, as PyTorch
};

// dst[i, c] = (src[order[first_row + i], c] - mean[c]) * scale[c]; mean and scale may be null.
struct GatherSpec {
  std::int64_t rows = 0, cols = 0;
  DType source = DType::f32; // u8 and f32 become f32; i32 stays i32 (labels: cols = 1)
  bool affine = false;       // mean and scale are given
  bool per_column = true;    // false: one mean and one scale for all columns
};

// to[i * out[0] + j * out[1] + ...] = from[i * in[0] + j * in[1] + ...] for all indices of `shape`.
// Strides are in elements of 1, 2, 4 or 8 bytes; one of `in` may be 0 or negative, and those of
// `out` must not overlap.
struct CopySpec {
  int rank = 0;
  std::int64_t shape[kMaxAxes] = {};
  std::int64_t in[kMaxAxes] = {};
  std::int64_t out[kMaxAxes] = {};
  std::size_t element = 4;
};

// The same copy over fewer axes, see merge_axes() of expression.hpp.
constexpr CopySpec merge_axes(const CopySpec& spec) noexcept {
  ElementwiseSpec walk;
  walk.rank = spec.rank;
  walk.inputs = 1;
  for (int axis = 0; axis < spec.rank; ++axis) {
    walk.shape[axis] = spec.shape[axis];
    walk.input[0][axis] = spec.in[axis];
    walk.out[axis] = spec.out[axis];
  }
  walk = merge_axes(walk);
  CopySpec merged{.rank = walk.rank, .element = spec.element};
  for (int axis = 0; axis < walk.rank; ++axis) {
    merged.shape[axis] = walk.shape[axis];
    merged.in[axis] = walk.input[0][axis];
    merged.out[axis] = walk.out[axis];
  }
  return merged;
}

// dst[outer, count, inner] = source[outer, index of `count`, inner]; inner is in bytes. An index is
// in [-size, size): a negative one counts from the end.
struct TakeSpec {
  std::int64_t outer = 1, size = 0, count = 0, inner = 4;
  DType index = DType::i64; // or i32
};

// dst[outer, depth, inner]: `on` where the index of [outer, inner] is that place of `depth`, `off`
// elsewhere. A negative index counts from the end; one outside of [-depth, depth) gives `off`
// alone.
struct OneHotSpec {
  std::int64_t outer = 1, depth = 0, inner = 1;
  DType index = DType::i64;      // or i32
  std::size_t element = 4;       // bytes: 1, 2, 4 or 8
  std::uint64_t off = 0, on = 1; // the bits of such an element
};

// What becomes of no element at all: 0 for sums and norms, NaN for the mean, 1 for the product, an
// infinity for largest and smallest. A NaN stays one.
enum class Reduce : std::uint8_t {
  sum,
  mean,
  product,
  largest,
  smallest,
  absolute_sum, // L1 norm
  square_sum,
  norm, // L2: the square root of square_sum
  log_sum,
};
struct ReduceSpec {
  Reduce kind = Reduce::sum;
  std::int64_t outer = 1, count = 1, inner = 1;
};

// Optimisers run once over one flat buffer with all parameters: the first `decayed` of them get
// weight decay (weights), the rest (biases, normalisation) does not.
struct AdamWSpec { // Loshchilov & Hutter 2019, decoupled weight decay
  std::int64_t size = 0, decayed = 0;
  float beta1 = 0.9F, beta2 = 0.999F, epsilon = 1e-8F, weight_decay = 0.01F;
};
struct SgdSpec { // v = momentum * v + (g + weight_decay * w); w -= lr * v
  std::int64_t size = 0, decayed = 0;
  float momentum = 0.9F, weight_decay = 0.0F;
  bool nesterov = false;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const char* name() const noexcept = 0; // "cpu", "cuda:0"
  virtual int threads() const noexcept = 0;      // of the host that operations use
  // Operations take ordinary host memory too, so that a caller need not copy a data set.
  virtual bool reads_host_memory() const noexcept = 0;

  // Memory. allocate() never returns null; contents are not initialised.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* pointer) noexcept = 0;
  // Host memory that copies to and from the device best; contents are not initialised.
  virtual void* allocate_host(std::size_t bytes) = 0;
  virtual void release_host(void* pointer) noexcept = 0;
  // copy_in: `host` may change as soon as this returns, unless it came from allocate_host(): then
  // only once the stream has got there. copy_out returns when the bytes have arrived.
  virtual void copy_in(Stream stream, void* device, const void* host, std::size_t bytes) = 0;
  virtual void copy_out(Stream stream, void* host, const void* device, std::size_t bytes) = 0;
  virtual void zero(Stream stream, void* device, std::size_t bytes) = 0;
  virtual void synchronize(Stream stream) = 0;

  // Streams. release() waits for what is queued on it. order(): what is queued on `later` from now
  // on runs after what is queued on `earlier` by now; it does not wait.
  virtual Stream make_stream() = 0;
  virtual void release(Stream stream) noexcept = 0;
  virtual void order(Stream earlier, Stream later) = 0;
  // Records what `body` queues on `stream` (not the default one) instead of running it. Null: this
  // device gains nothing by it and has not called `body`; the caller runs it itself each time. Run
  // the same operations once before, so that what a first use loads is loaded. In `body`, copies
  // take memory of allocate_host() alone, and nothing waits. Passes on what `body` throws.
  virtual std::unique_ptr<Graph> capture(Stream stream, const std::function<void()>& body) = 0;

  // Plans hold what is decided once for a shape. They must not outlive the device.
  virtual std::unique_ptr<MatmulPlan> plan(const MatmulSpec& spec) = 0;
  virtual std::unique_ptr<ConvPlan> plan(const ConvSpec& spec) = 0;

  virtual std::unique_ptr<ConvTrainingPlan> plan_training(const ConvSpec& spec) = 0;

  virtual void pool(Stream stream, const PoolSpec& spec, const float* x, float* y) = 0;
  // Pooling that is trained: channels last, x[batch, in..., channels] -> y[batch, out...,
  // channels]. `index` (as large as y; not null for max, else ignored) says for backward where each
  // maximum was: the first one in the order of the window, as a position in in[...]; -1 for a
  // window that has no cell. Backward sets all of dx, the sum of what windows that overlap give,
  // always in the same order.
  virtual void pool_training(Stream stream, const PoolSpec& spec, const float* x, float* y,
                             std::int32_t* index) = 0;
  virtual void pool_backward(Stream stream, const PoolSpec& spec, const float* dy,
                             const std::int32_t* index, float* dx) = 0;

  // Elementwise; y may be x. Backward: dx = dy * act'(x), where `x` is the activation's input for
  // gelu and its output for the others (relu, tanh, sigmoid); dx may be dy.
  virtual void activation(Stream stream, Activation kind, std::int64_t size, const float* x,
                          float* y) = 0;
  virtual void activation_backward(Stream stream, Activation kind, std::int64_t size,
                                   const float* x, const float* dy, float* dx) = 0;

  // y = spec's expression of the inputs, each of which is at least as large as its strides reach. y
  // may be an input that has y's strides and type. Buffers need no alignment but that of their
  // elements; a multiple of 16 bytes is fastest.
  virtual void elementwise(Stream stream, const ElementwiseSpec& spec, const void* const* inputs,
                           void* y) = 0;
  // Elements that move or are picked, whatever they mean. Alignment as for elementwise(). take():
  // an index out of range sets *fault to 1 and gives zeros; else *fault is left as it is.
  virtual void copy(Stream stream, const CopySpec& spec, const void* from, void* to) = 0;
  virtual void take(Stream stream, const TakeSpec& spec, const void* source, const void* indices,
                    void* dst, std::int32_t* fault) = 0;
  virtual void one_hot(Stream stream, const OneHotSpec& spec, const void* indices, void* dst) = 0;
  // x[outer, count, inner] -> y[outer, inner]; x needs no alignment. Sums are taken in double.
  virtual void reduce(Stream stream, const ReduceSpec& spec, const float* x, float* y) = 0;
  // y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, with mean and variance over the
  // columns of each row (Ba et al. 2016). gamma and beta: cols each, or null for 1 and 0. y may be
  // x. No buffer needs alignment.
  virtual void layer_norm(Stream stream, std::int64_t rows, std::int64_t cols, float epsilon,
                          const float* x, const float* gamma, const float* beta, float* y) = 0;

  // Fused end of a dense layer. forward: z (rows x cols) is read, z + bias is written back to z if
  // bias is not null, y may be z unless the activation is gelu and a backward pass follows.
  // backward: dz = dropout'(dy) * act'(...) from z (as left by forward) and y; dbias (cols, may be
  // null) is the sum of dz over rows; dz may be dy. Needs rows * cols <= 2^34.
  virtual void epilogue(Stream stream, const EpilogueSpec& spec, const StepState* state,
                        const float* bias, float* z, float* y) = 0;
  virtual void epilogue_backward(Stream stream, const EpilogueSpec& spec, const StepState* state,
                                 const float* z, const float* y, const float* dy, float* dz,
                                 float* dbias) = 0;

  // Batch normalisation over rows (Ioffe & Szegedy 2015). Training: y may not be x; mean and
  // inv_std (cols each) are saved for backward; running statistics are updated with the unbiased
  // variance. rows >= 1 (one row: running_var keeps its value). Backward: dx may be dy.
  virtual void batch_norm(Stream stream, const BatchNormSpec& spec, const float* x,
                          const float* gamma, const float* beta, float* running_mean,
                          float* running_var, float* mean, float* inv_std, float* y) = 0;
  virtual void batch_norm_backward(Stream stream, const BatchNormSpec& spec, const float* x,
                                   const float* gamma, const float* mean, const float* inv_std,
                                   const float* dy, float* dx, float* dgamma, float* dbeta) = 0;
  // x[outer, channels, inner] with statistics a channel; y may be x.
  virtual void batch_norm_inference(Stream stream, std::int64_t outer, std::int64_t channels,
                                    std::int64_t inner, float epsilon, const float* x,
                                    const float* gamma, const float* beta, const float* mean,
                                    const float* var, float* y) = 0;

  // Losses: forward and backward in one pass. The gradient is that of the weighted mean over the
  // batch: sum(w_i l_i) / sum(w_i). `gradient` null: evaluation only; it may be `logits` itself.
  // class_weights null: all 1. labels in [0, classes). Stats are added to.
  virtual void softmax_cross_entropy(Stream stream, std::int64_t rows, std::int64_t classes,
                                     const float* logits, const std::int32_t* labels,
                                     const float* class_weights, float* gradient,
                                     LossStats* stats) = 0;
  // Mean over rows and columns of (p - t)^2; Huber (1964): d^2 / 2 if |d| <= delta, else
  // delta * (|d| - delta / 2). In stats, the weight of a row is its number of columns.
  virtual void squared_error(Stream stream, std::int64_t rows, std::int64_t cols,
                             const float* prediction, const float* target, float* gradient,
                             LossStats* stats) = 0;
  virtual void huber(Stream stream, std::int64_t rows, std::int64_t cols, float delta,
                     const float* prediction, const float* target, float* gradient,
                     LossStats* stats) = 0;
  // Over the last axis of rows x cols; y may be x.
  virtual void softmax(Stream stream, std::int64_t rows, std::int64_t cols, const float* x,
                       float* y) = 0;

  // Optimisers; `lr` and `step` come from state.
  virtual void adamw(Stream stream, const AdamWSpec& spec, const StepState* state, float* params,
                     const float* grads, float* first, float* second) = 0;
  virtual void sgd(Stream stream, const SgdSpec& spec, const StepState* state, float* params,
                   const float* grads, float* velocity) = 0;

  // Batch assembly from a resident data set. state null: the batch starts at order[0]; order null:
  // rows follow one another from first_row. Source and order need no alignment.
  virtual void gather(Stream stream, const GatherSpec& spec, const StepState* state,
                      const void* source, const std::int32_t* order, const float* mean,
                      const float* scale, void* dst) = 0;
  // dst[c] = sum over rows of x[r, c].
  virtual void sum_rows(Stream stream, std::int64_t rows, std::int64_t cols, const float* x,
                        float* dst) = 0;
};

// The CPU device; matrix products and convolutions run on oneDNN, which is loaded at the first
// plan (an error then names the Debian package if it is missing). threads <= 0: as many as this
// process may use. Worker threads start at the first operation that wants them. Never blocks.
std::unique_ptr<Device> make_cpu_device(int threads = 0);

// The GPUs that this process can use. `reason` says why there is none ("mlp was built without
// CUDA", "no NVIDIA driver: libcuda.so.1 is not installed"). Loads the driver on need; never
// throws.
struct CudaStatus {
  int devices = 0;
  std::string reason;
};
CudaStatus cuda_status();

// In what matrix products and convolutions of f32 operands are multiplied; sums are f32 always.
enum class Precision : std::uint8_t {
  f32,
  tf32, // 10 bits of mantissa, faster from Ampere on
  bf16, // 7 bits of mantissa, faster still; what a convolution gives has no more either
};
struct CudaOptions {
  Precision precision = Precision::f32;
};
// GPU number `ordinal` of those that cuda_status() counts. Matrix products run on cuBLASLt and
// convolutions on cuDNN, each loaded at its first plan. ErrorKind::unavailable, with a hint, where
// there is no such GPU or a library is missing.
std::unique_ptr<Device> make_cuda_device(int ordinal, const CudaOptions& options = {});

// Device memory that frees itself. Movable; the device must outlive it.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, std::size_t bytes)
      : device_(&device), data_(device.allocate(bytes)), bytes_(bytes) {}
  Buffer(Buffer&& other) noexcept
      : device_(other.device_), data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) device_->release(data_);
  }
  std::size_t bytes() const noexcept { return bytes_; }
  void* data() const noexcept { return data_; }
  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data_);
  }

 private:
  Device* device_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

} // namespace mlp::kernels
