// The CUDA device's operations, one a file, as device.hpp documents them. Sizes have been checked
// and are not 0; the GPU has been selected. Each queues its kernels and returns.
#pragma once

#include "kernels/cuda/runtime.hpp"

namespace mlp::kernels::cuda {

// Device memory of one stream for sums over more than one block: partial sums, and for each such
// sum a counter of the blocks that are done, which is 0 between kernels.
inline constexpr std::int64_t kScratchSums = std::int64_t{1} << 19;
inline constexpr std::int64_t kScratchTickets = std::int64_t{1} << 12;
struct Scratch {
  double* sums = nullptr; // kScratchSums, and one more for a total that the next kernel reads
  unsigned* tickets = nullptr;
};

// Where an operation is queued.
struct Queue {
  cudaStream_t stream = nullptr;
  Scratch scratch;
  int processors = 1; // streaming multiprocessors of the GPU
};

void activation(const Queue& q, Activation kind, std::int64_t size, const float* x, float* y);
void activation_backward(const Queue& q, Activation kind, std::int64_t size, const float* x,
                         const float* dy, float* dx);

// The axes have been merged.
void elementwise(const Queue& q, const ElementwiseSpec& spec, const void* const* inputs, void* y);
void copy(const Queue& q, const CopySpec& spec, const void* from, void* to);
void take(const Queue& q, const TakeSpec& spec, const void* source, const void* indices, void* dst,
          std::int32_t* fault);
void one_hot(const Queue& q, const OneHotSpec& spec, const void* indices, void* dst);
void reduce(const Queue& q, const ReduceSpec& spec, const float* x, float* y);
void layer_norm(const Queue& q, std::int64_t rows, std::int64_t cols, float epsilon, const float* x,
                const float* gamma, const float* beta, float* y);

void epilogue(const Queue& q, const EpilogueSpec& spec, const StepState* state, const float* bias,
              float* z, float* y);
void epilogue_backward(const Queue& q, const EpilogueSpec& spec, const StepState* state,
                       const float* z, const float* y, const float* dy, float* dz, float* dbias);

void batch_norm(const Queue& q, const BatchNormSpec& spec, const float* x, const float* gamma,
                const float* beta, float* running_mean, float* running_var, float* mean,
                float* inv_std, float* y);
void batch_norm_backward(const Queue& q, const BatchNormSpec& spec, const float* x,
                         const float* gamma, const float* mean, const float* inv_std,
                         const float* dy, float* dx, float* dgamma, float* dbeta);
void batch_norm_inference(const Queue& q, std::int64_t outer, std::int64_t channels,
                          std::int64_t inner, float epsilon, const float* x, const float* gamma,
                          const float* beta, const float* mean, const float* var, float* y);

void softmax_cross_entropy(const Queue& q, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels,
                           const float* class_weights, float* gradient, LossStats* stats);
void softmax(const Queue& q, std::int64_t rows, std::int64_t cols, const float* x, float* y);
void squared_error(const Queue& q, std::int64_t rows, std::int64_t cols, const float* prediction,
                   const float* target, float* gradient, LossStats* stats);
void huber(const Queue& q, std::int64_t rows, std::int64_t cols, float delta,
           const float* prediction, const float* target, float* gradient, LossStats* stats);

void adamw(const Queue& q, const AdamWSpec& spec, const StepState* state, float* params,
           const float* grads, float* first, float* second);
void sgd(const Queue& q, const SgdSpec& spec, const StepState* state, float* params,
         const float* grads, float* velocity);

void gather(const Queue& q, const GatherSpec& spec, const StepState* state, const void* source,
            const std::int32_t* order, const float* mean, const float* scale, void* dst);
void sum_rows(const Queue& q, std::int64_t rows, std::int64_t cols, const float* x, float* dst);
void pool_forward(const Queue& q, const PoolSpec& spec, const float* x, float* y);
// Channels last; index is not null for max.
void pool_training(const Queue& q, const PoolSpec& spec, const float* x, float* y,
                   std::int32_t* index);
void pool_backward(const Queue& q, const PoolSpec& spec, const float* dy, const std::int32_t* index,
                   float* dx);

// The end of a matrix product or a convolution that the library did not do: c = act(scale * c +
// bias), with float32 arithmetic, over `batch` matrices of rows x cols, `ld` between rows and
// `stride` between matrices. bias null, or of the type of c: one a column, or where bias_period is
// not 0 one a row, repeated after bias_period rows. scale 0: c is not read.
struct Finish {
  DType dtype = DType::f32; // f32 or bf16
  std::int64_t batch = 1, rows = 0, cols = 0, ld = 0, stride = 0;
  std::int64_t bias_period = 0;
  float scale = 1.0F;
  Activation activation = Activation::none;
};
void finish(const Queue& q, const Finish& spec, const void* bias, void* c);

// y[planes, out..., inner] = x[planes, in..., inner] with zeros around it: `before` cells before
// the first one of an axis; negative: x's first cells are left out. Elements of 2 or 4 bytes; three
// axes.
struct Padding {
  std::int64_t planes = 1, inner = 1;
  std::int64_t in[kMaxSpatial] = {1, 1, 1};
  std::int64_t out[kMaxSpatial] = {1, 1, 1};
  std::int64_t before[kMaxSpatial] = {};
  std::size_t element = 4;
};
void pad(const Queue& q, const Padding& spec, const void* x, void* y);

// y[planes, cols, rows] = x[planes, rows, cols], elements of 2 or 4 bytes.
void transpose(const Queue& q, std::int64_t planes, std::int64_t rows, std::int64_t cols,
               std::size_t element, const void* x, void* y);

// To bfloat16, rounded to nearest with ties to even, and back.
void to_bf16(const Queue& q, std::int64_t size, const float* x, void* y);
void from_bf16(const Queue& q, std::int64_t size, const void* x, float* y);

} // namespace mlp::kernels::cuda
