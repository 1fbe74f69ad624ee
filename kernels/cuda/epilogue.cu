// The end of a dense layer: bias, activation and dropout in one pass; backward with the bias's
// gradient in the same pass. The reference is cpu/epilogue.cpp.
#include "kernels/cuda/reduce.cuh"

namespace mlp::kernels::cuda {

namespace {

// y may be z. A thread's four elements are one block of Philox.
template <Activation kind>
__global__ void __launch_bounds__(kBlock)
    forward(std::int64_t size, std::int64_t cols, bool aligned, Dropout dropout, const float* bias,
            float* z, float* y) {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  if (dropout.state != nullptr) {
    seed = dropout.state->seed;
    step = dropout.state->step;
  }
  for (std::int64_t i = kPer * thread_index(); i < size; i += kPer * thread_count()) {
    Four f = load4(z, i, size, aligned);
    if (bias != nullptr) {
      const Columns columns = columns_of(i, cols);
#pragma unroll
      for (int j = 0; j < kPer; ++j)
        f.v[j] += bias[columns.at[j]];
      if (y != z) store4(z, i, size, aligned, f);
    }
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      f.v[j] = activate<kind>(f.v[j]);
    if (dropout.state != nullptr) {
      const PhiloxBlock words = dropout_words(dropout, seed, step, i / kPer);
#pragma unroll
      for (int j = 0; j < kPer; ++j)
        f.v[j] *= words[static_cast<std::size_t>(j)] >= dropout.threshold ? dropout.scale : 0.0F;
    }
    store4(y, i, size, aligned, f);
  }
}

// dz may be dy. V is 4 where cols is a multiple of 4 and the buffers are aligned, else 1. What relu
// and dropout have zeroed has y = 0, so that relu needs no words.
template <Activation kind, int V>
__global__ void __launch_bounds__(kBlock)
    backward(ColumnGrid g, Scratch scratch, Dropout dropout, const float* z, const float* y,
             const float* dy, float* dz, float* dbias) {
  const bool draws = dropout.state != nullptr && kind != Activation::relu;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  if (draws) {
    seed = dropout.state->seed;
    step = dropout.state->step;
  }
  column_sums<V, 1, float>(
      g, scratch,
      [&](std::int64_t row, std::int64_t column, float(&sums)[1][V]) {
        const std::int64_t i = row * g.cols + column;
        float d[V];
        load_row(dy, i, d);
        if (draws) {
          const PhiloxBlock words = dropout_words(dropout, seed, step, i / 4);
#pragma unroll
          for (int v = 0; v < V; ++v) {
            std::uint32_t word = words[static_cast<std::size_t>(v)];
            if constexpr (V == 1) {
              const int which = static_cast<int>(i % 4);
              word = which == 0   ? words[0]
                     : which == 1 ? words[1]
                     : which == 2 ? words[2]
                                  : words[3];
            }
            d[v] *= word >= dropout.threshold ? dropout.scale : 0.0F;
          }
        }
        if constexpr (kind != Activation::none) {
          float saved[V];
          load_row(kind == Activation::gelu ? z : y, i, saved);
#pragma unroll
          for (int v = 0; v < V; ++v) {
            if constexpr (kind == Activation::relu)
              d[v] = saved[v] > 0.0F ? d[v] * dropout.scale : 0.0F;
            else if constexpr (kind == Activation::gelu)
              d[v] *= slope<kind>(saved[v]);
            else
              d[v] *= slope<kind>(saved[v] * dropout.keep);
          }
        }
        if constexpr (V == 4)
          *reinterpret_cast<float4*>(dz + i) = make_float4(d[0], d[1], d[2], d[3]);
        else
          dz[i] = d[0];
#pragma unroll
        for (int v = 0; v < V; ++v)
          sums[0][v] += d[v];
      },
      [&](std::int64_t column, const double(&total)[1]) {
        if (dbias != nullptr) dbias[column] = static_cast<float>(total[0]);
      });
}

} // namespace

void epilogue(const Queue& q, const EpilogueSpec& spec, const StepState* state, const float* bias,
              float* z, float* y) {
  const std::int64_t size = spec.rows * spec.cols;
  with_activation(spec.activation, [&](auto which) {
    launch("queue a layer's epilogue", forward<which()>, blocks_for(q, (size + kPer - 1) / kPer), q,
           size, spec.cols, aligned16(z, y), dropout_of(spec, state), bias, z, y);
  });
}

void epilogue_backward(const Queue& q, const EpilogueSpec& spec, const StepState* state,
                       const float* z, const float* y, const float* dy, float* dz, float* dbias) {
  const Dropout dropout = dropout_of(spec, state);
  const bool vector = spec.cols % 4 == 0 && aligned16(z, y, dy, dz);
  const ColumnGrid g = column_grid(q, spec.rows, spec.cols, vector ? 4 : 1, 1);
  with_activation(spec.activation, [&](auto which) {
    const auto kernel = vector ? backward<which(), 4> : backward<which(), 1>;
    launch("queue a layer's gradient", kernel, g.grid(), q, g, q.scratch, dropout, z, y, dy, dz,
           dbias);
  });
}

} // namespace mlp::kernels::cuda
