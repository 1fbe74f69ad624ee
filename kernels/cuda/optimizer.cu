// AdamW and SGD over one flat buffer: each element is read and written once a step. The reference
// is cpu/optimizer.cpp.
#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

namespace {

struct Adam {
  float beta1, beta2, epsilon;
  double log_beta1, log_beta2; // natural logarithms
  double weight_decay;
  std::int64_t decayed;
};

__global__ void __launch_bounds__(kBlock)
    adamw_kernel(std::int64_t size, bool aligned, Adam adam, const StepState* __restrict__ state,
                 float* __restrict__ params, const float* __restrict__ grads,
                 float* __restrict__ first, float* __restrict__ second) {
  // What is the same for all elements, in float64, once a block.
  __shared__ float shared[3];
  if (threadIdx.x == 0) {
    const auto t = static_cast<double>(state->step);
    const auto lr = static_cast<double>(state->learning_rate);
    shared[0] = static_cast<float>(lr / -expm1(t * adam.log_beta1));
    shared[1] = static_cast<float>(1.0 / -expm1(t * adam.log_beta2));
    shared[2] = static_cast<float>(1.0 - lr * adam.weight_decay);
  }
  __syncthreads();
  const float step = shared[0];
  const float inv_bias2 = shared[1];
  const float shrink = shared[2];
  for (std::int64_t i = kPer * thread_index(); i < size; i += kPer * thread_count()) {
    Four w = load4(params, i, size, aligned);
    const Four g = load4(grads, i, size, aligned);
    Four m = load4(first, i, size, aligned);
    Four v = load4(second, i, size, aligned);
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      m.v[j] = adam.beta1 * m.v[j] + (1.0F - adam.beta1) * g.v[j];
      v.v[j] = adam.beta2 * v.v[j] + (1.0F - adam.beta2) * g.v[j] * g.v[j];
      const float kept = i + j < adam.decayed ? w.v[j] * shrink : w.v[j];
      w.v[j] = kept - step * m.v[j] / (sqrtf(v.v[j] * inv_bias2) + adam.epsilon);
    }
    store4(params, i, size, aligned, w);
    store4(first, i, size, aligned, m);
    store4(second, i, size, aligned, v);
  }
}

__global__ void __launch_bounds__(kBlock)
    sgd_kernel(std::int64_t size, bool aligned, SgdSpec spec, const StepState* __restrict__ state,
               float* __restrict__ params, const float* __restrict__ grads,
               float* __restrict__ velocity) {
  const float lr = state->learning_rate;
  for (std::int64_t i = kPer * thread_index(); i < size; i += kPer * thread_count()) {
    Four w = load4(params, i, size, aligned);
    Four g = load4(grads, i, size, aligned);
    Four v = load4(velocity, i, size, aligned);
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      if (i + j < spec.decayed) g.v[j] += spec.weight_decay * w.v[j];
      v.v[j] = spec.momentum * v.v[j] + g.v[j];
      w.v[j] -= lr * (spec.nesterov ? g.v[j] + spec.momentum * v.v[j] : v.v[j]);
    }
    store4(params, i, size, aligned, w);
    store4(velocity, i, size, aligned, v);
  }
}

} // namespace

void adamw(const Queue& q, const AdamWSpec& spec, const StepState* state, float* params,
           const float* grads, float* first, float* second) {
  const Adam adam{spec.beta1,
                  spec.beta2,
                  spec.epsilon,
                  std::log(static_cast<double>(spec.beta1)),
                  std::log(static_cast<double>(spec.beta2)),
                  static_cast<double>(spec.weight_decay),
                  spec.decayed};
  launch("queue AdamW", adamw_kernel, blocks_for(q, (spec.size + kPer - 1) / kPer), q, spec.size,
         aligned16(params, grads, first, second), adam, state, params, grads, first, second);
}

void sgd(const Queue& q, const SgdSpec& spec, const StepState* state, float* params,
         const float* grads, float* velocity) {
  launch("queue SGD", sgd_kernel, blocks_for(q, (spec.size + kPer - 1) / kPer), q, spec.size,
         aligned16(params, grads, velocity), spec, state, params, grads, velocity);
}

} // namespace mlp::kernels::cuda
