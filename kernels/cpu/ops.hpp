// The CPU device's operations, one a file, as device.hpp documents them. Sizes have been checked.
#pragma once

#include "kernels/cpu/threads.hpp"
#include "kernels/device.hpp"

namespace mlp::kernels::cpu {

std::unique_ptr<MatmulPlan> plan_matmul(ThreadPool& pool, const MatmulSpec& spec);
std::unique_ptr<ConvPlan> plan_conv(ThreadPool& pool, const ConvSpec& spec);
std::unique_ptr<ConvTrainingPlan> plan_conv_training(ThreadPool& pool, const ConvSpec& spec);
void pool_forward(ThreadPool& pool, const PoolSpec& spec, const float* x, float* y);
// Channels last; index is not null for max.
void pool_training(ThreadPool& pool, const PoolSpec& spec, const float* x, float* y,
                   std::int32_t* index);
void pool_backward(ThreadPool& pool, const PoolSpec& spec, const float* dy,
                   const std::int32_t* index, float* dx);

void activation(ThreadPool& pool, Activation kind, std::int64_t size, const float* x, float* y);
void activation_backward(ThreadPool& pool, Activation kind, std::int64_t size, const float* x,
                         const float* dy, float* dx);
// In the calling thread; for the ends of other operations.
void apply_activation(Activation kind, std::int64_t size, const float* x, float* y) noexcept;
void apply_activation_backward(Activation kind, std::int64_t size, const float* x, const float* dy,
                               float* dx) noexcept;

// The axes have been merged.
void elementwise(ThreadPool& pool, const ElementwiseSpec& spec, const void* const* inputs, void* y);
void copy(ThreadPool& pool, const CopySpec& spec, const void* from, void* to);
void take(ThreadPool& pool, const TakeSpec& spec, const void* source, const void* indices,
          void* dst, std::int32_t* fault);
void one_hot(ThreadPool& pool, const OneHotSpec& spec, const void* indices, void* dst);
void reduce(ThreadPool& pool, const ReduceSpec& spec, const float* x, float* y);
void layer_norm(ThreadPool& pool, std::int64_t rows, std::int64_t cols, float epsilon,
                const float* x, const float* gamma, const float* beta, float* y);

void epilogue(ThreadPool& pool, const EpilogueSpec& spec, const StepState* state, const float* bias,
              float* z, float* y);
void epilogue_backward(ThreadPool& pool, const EpilogueSpec& spec, const StepState* state,
                       const float* z, const float* y, const float* dy, float* dz, float* dbias);

void batch_norm(ThreadPool& pool, const BatchNormSpec& spec, const float* x, const float* gamma,
                const float* beta, float* running_mean, float* running_var, float* mean,
                float* inv_std, float* y);
void batch_norm_backward(ThreadPool& pool, const BatchNormSpec& spec, const float* x,
                         const float* gamma, const float* mean, const float* inv_std,
                         const float* dy, float* dx, float* dgamma, float* dbeta);
void batch_norm_inference(ThreadPool& pool, std::int64_t outer, std::int64_t channels,
                          std::int64_t inner, float epsilon, const float* x, const float* gamma,
                          const float* beta, const float* mean, const float* var, float* y);

void softmax_cross_entropy(ThreadPool& pool, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels,
                           const float* class_weights, float* gradient, LossStats* stats);
void softmax(ThreadPool& pool, std::int64_t rows, std::int64_t cols, const float* x, float* y);
void squared_error(ThreadPool& pool, std::int64_t rows, std::int64_t cols, const float* prediction,
                   const float* target, float* gradient, LossStats* stats);
void huber(ThreadPool& pool, std::int64_t rows, std::int64_t cols, float delta,
           const float* prediction, const float* target, float* gradient, LossStats* stats);

void adamw(ThreadPool& pool, const AdamWSpec& spec, const StepState& state, float* params,
           const float* grads, float* first, float* second);
void sgd(ThreadPool& pool, const SgdSpec& spec, const StepState& state, float* params,
         const float* grads, float* velocity);

void gather(ThreadPool& pool, const GatherSpec& spec, const StepState* state, const void* source,
            const std::int32_t* order, const float* mean, const float* scale, void* dst);
void sum_rows(ThreadPool& pool, std::int64_t rows, std::int64_t cols, const float* x, float* dst);

} // namespace mlp::kernels::cpu
